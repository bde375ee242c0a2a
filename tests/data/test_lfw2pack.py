"""Verification pairs are packed from a folder with unchanged pictures."""

import pytest

from src.common.errors import InputError
from src.data import lfw2pack
from src.data.lfw2pack import main
from src.formats.verification_set import read_bin


@pytest.fixture
def lfw(tmp_path, make_picture):
    """Ten people A … J with two pictures each, all of different colours."""
    for row, person in enumerate("ABCDEFGHIJ"):
        (tmp_path / "lfw" / person).mkdir(parents=True)
        for number in (1, 2):
            content = make_picture((row * 20, number * 50, 7), (112, 112))
            (tmp_path / "lfw" / person / f"{person}_{number:04d}.jpg").write_bytes(content)
    return tmp_path / "lfw"


def content_of(lfw, person, number):
    return (lfw / person / f"{person}_{number:04d}.jpg").read_bytes()


def test_order_and_bytes_are_kept_as_in_2018(lfw, tmp_path, capsys):
    lines = [f"{person}\t1\t2\n{person}\t1\tA\t2\n" for person in "BCDEFGHIJ"]
    lines.append("A\t1\t2\nA\t1\tB\t2\n")
    (lfw / "pairs.txt").write_text("10\t1\n" + "".join(lines))
    output = tmp_path / "lfw.bin"
    main(["--data-dir", str(lfw), "--image-size", "112,112", "--output", str(output)])
    images, issame = read_bin(output)
    assert issame == [True, False] * 10
    assert images[:4] == [
        content_of(lfw, "B", 1), content_of(lfw, "B", 2),
        content_of(lfw, "B", 1), content_of(lfw, "A", 2),
    ]  # fmt: skip
    out = capsys.readouterr().out
    assert "20 pairs, 10 same, 10 different" in out
    assert "mixed" not in out
    assert "Skipped" not in out


def test_separate_kinds_are_mixed(lfw, tmp_path, capsys):
    same = [f"{person}\t1\t2\n" for person in "ABCDEFGHIJ"]
    different = [f"A\t1\t{person}\t2\n" for person in "BCDEFGHIJ"] + ["B\t1\tC\t1\n"]
    pairs = tmp_path / "view1.txt"
    pairs.write_text("10\n" + "".join(same + different))
    output = tmp_path / "dev.bin"
    main(["--data-dir", str(lfw), "--pairs", str(pairs), "--output", str(output)])
    images, issame = read_bin(output)
    assert issame == [True, False] * 10
    assert images[2:4] == [content_of(lfw, "A", 1), content_of(lfw, "B", 2)]
    assert images[4:6] == [content_of(lfw, "B", 1), content_of(lfw, "B", 2)]
    assert "mixed evenly for 10 folds" in capsys.readouterr().out


def test_pairs_with_missing_pictures_are_logged_and_skipped(lfw, tmp_path, caplog, capsys):
    (lfw / "B" / "B_0002.jpg").write_bytes(b"garbage")
    pairs = tmp_path / "pairs.txt"
    pairs.write_text(f"A 1 2\nA 1 B 1\nB 1 2\nA 1 Z 9\n{lfw}/A/A_0001.jpg C/C_0001.jpg 0\n")
    output = tmp_path / "a.bin"
    main(["--data-dir", str(lfw), "--pairs", str(pairs), "--output", str(output), "--nfolds", "2"])
    assert read_bin(output)[1] == [False, True, False]
    assert "line 3: pair skipped: " in caplog.text
    assert "B_0002.jpg cannot be decoded" in caplog.text
    assert "line 4: pair skipped: Z/Z_0009.jpg is missing" in caplog.text
    assert "1 same and 2 different pairs are too few for 2 folds" in caplog.text
    assert "Skipped 2 image pairs" in capsys.readouterr().out


def test_pictures_of_unusual_size_are_logged(lfw, tmp_path, make_picture, caplog):
    (lfw / "A" / "A_0002.jpg").write_bytes(make_picture((1, 2, 3), (25, 30)))
    (lfw / "B" / "B_0002.jpg").write_bytes(make_picture((1, 2, 3), (112, 96)))
    (lfw / "pairs.txt").write_text("A 1 2\nA 1 B 2\n")
    main(["--data-dir", str(lfw), "--output", str(tmp_path / "a.bin")])
    assert "1 of 3 pictures are neither 112×112 nor 112×96" in caplog.text
    assert "A/A_0002.jpg (25×30)" in caplog.text


def test_wrong_arguments_are_errors(lfw, tmp_path):
    output = str(tmp_path / "a.bin")
    with pytest.raises(FileNotFoundError, match=r"pairs\.txt: no such pairs file"):
        main(["--data-dir", str(lfw), "--output", output])
    with pytest.raises(FileNotFoundError, match="--data-dir nowhere: no such folder"):
        main(["--data-dir", "nowhere", "--output", output])
    with pytest.raises(InputError, match=r"--output is missing: name the \.bin"):
        main(["--data-dir", str(lfw)])
    (lfw / "pairs.txt").write_text("A 1 2\nX 1 Y 2\n")
    with pytest.raises(InputError, match=r"1 of 2 pairs have both pictures .* A/A_0001"):
        main(["--data-dir", str(lfw), "--output", output])


def test_a_stopped_run_does_not_decode_again(lfw, tmp_path, monkeypatch):
    lines = [f"{person}\t1\t2\n{person}\t1\tA\t2\n" for person in "BCDEFGHIJ"]
    (lfw / "pairs.txt").write_text("".join(lines))
    output = tmp_path / "lfw.bin"
    flags = ["--data-dir", str(lfw), "--image-size", "112,112", "--output", str(output)]
    main(flags)
    undisturbed = output.read_bytes()
    output.unlink()
    decoded, decode = [], lfw2pack.decode_stored

    def stop_at(count):
        def decode_some(content):
            if len(decoded) == count:
                raise KeyboardInterrupt
            decoded.append(content)
            return decode(content)

        monkeypatch.setattr(lfw2pack, "decode_stored", decode_some)

    stop_at(12)
    with pytest.raises(KeyboardInterrupt):
        main(flags)
    assert not output.exists()
    # A picture that changes meanwhile is decoded again, and a damaged journal line does no harm.
    first = lfw / "A" / "A_0002.jpg"
    first.write_bytes(first.read_bytes() + b"\0")
    with open(tmp_path / ".lfw.bin.journal", "ab") as journal:
        journal.write(b'["a", 1\xff')
    stop_at(100)
    main(flags)
    assert len(decoded) == 12 + 7 + 1
    assert len(output.read_bytes()) > len(undisturbed)
    first.write_bytes(first.read_bytes()[:-1])
    main(flags)
    assert output.read_bytes() == undisturbed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lfw", "lfw.bin"]


def test_an_error_leaves_no_journal(lfw, tmp_path):
    (lfw / "pairs.txt").write_text("A\t1\t2\n")
    with pytest.raises(InputError, match="same and different pairs"):
        main(["--data-dir", str(lfw), "--output", str(tmp_path / "lfw.bin")])
    assert [path.name for path in tmp_path.iterdir()] == ["lfw"]
