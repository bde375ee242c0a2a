"""Some people are kept out of training, and their photos become verification pairs."""

import numpy as np
import pytest

from src.common.errors import InputError
from src.data.hold_out import choose_heldout, main, make_pairs
from src.formats.property import load_property


def write_list(path, photos_of_each):
    lines = [
        f"1\tfaces/p{label}/{number}.jpg\t{label}\n"
        for label, count in enumerate(photos_of_each)
        for number in range(count)
    ]
    path.write_text("".join(lines))
    return path


def read_pairs(path):
    return [line.split("\t") for line in path.read_text().splitlines()]


def test_people_are_used_for_either_training_or_verification(tmp_path, capsys):
    source = write_list(tmp_path / "all.lst", [5, 4, 3, 6, 2, 7, 5, 4])
    pairs_path = tmp_path / "heldout.txt"
    main([str(source), "--output", str(tmp_path), "--pairs", str(pairs_path), "--people", "0.25",
          "--parts", "2", "--seed", "3"])  # fmt: skip
    trained = {}
    for part in (1, 2):
        folder = tmp_path / f"part_{part}"
        rows = [line.split("\t") for line in (folder / "train.lst").read_text().splitlines()]
        labels = [int(label) for _, _, label in rows]
        assert labels == sorted(labels)
        assert set(labels) == set(range(load_property(str(folder)).num_classes))
        for _, path, _ in rows:
            trained.setdefault(path.split("/")[1], []).append(path)
    verified = {path.split("/")[1] for row in read_pairs(pairs_path) for path in row[:2]}
    assert len(verified) == 2
    assert verified.isdisjoint(trained)
    assert len(verified) + len(trained) == 8
    assert sum(len(paths) for paths in trained.values()) == 36 - sum(
        [5, 4, 3, 6, 2, 7, 5, 4][int(person[1:])] for person in verified
    )
    assert "2 people" in capsys.readouterr().out


def test_the_seed_repeats_the_choice(tmp_path):
    source = write_list(tmp_path / "all.lst", [4] * 10)
    texts = []
    for run in ("a", "b"):
        pairs_path = tmp_path / f"{run}.txt"
        main([str(source), "--output", str(tmp_path / run), "--pairs", str(pairs_path),
              "--seed", "7"])  # fmt: skip
        texts.append(pairs_path.read_text())
    assert texts[0] == texts[1]


def test_kinds_alternate_and_no_pair_is_repeated():
    people = {label: [f"{label}/{number}" for number in range(6)] for label in range(4)}
    pairs = make_pairs(people, [0, 1, 2, 3], 40, np.random.RandomState(0))
    assert len(pairs) == 80
    assert [same for _, _, same in pairs] == [True, False] * 40
    assert len({frozenset(pair[:2]) for pair in pairs}) == 80
    for first, second, same in pairs:
        assert (first.split("/")[0] == second.split("/")[0]) == same


def test_a_person_with_one_photo_is_never_held_out():
    people = {label: ["a"] * (1 if label < 8 else 2) for label in range(11)}
    for seed in range(20):
        chosen = choose_heldout(people, 0.1, np.random.RandomState(seed))
        assert len(chosen) == 2
        assert min(chosen) >= 8


def test_too_few_people_are_an_error(tmp_path):
    source = write_list(tmp_path / "all.lst", [3, 3, 3])
    with pytest.raises(InputError, match="cannot keep 2 of 3 people out of training: 3 have"):
        main([str(source), "--output", str(tmp_path), "--pairs", str(tmp_path / "p.txt")])
    assert not (tmp_path / "p.txt").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0\tb.jpg\t1\t1\t1\t50\t50", "is an unaligned photo"),
        ("1\tb.jpg", ".*expected 3, 7 or 17 fields"),
        ("1\tb.jpg\t-1", ".*photos without identities"),
    ],
)
def test_a_wrong_line_is_reported_by_number(tmp_path, line, message):
    source = tmp_path / "all.lst"
    source.write_text(f"1\ta.jpg\t0\n{line}\n")
    with pytest.raises(InputError, match=rf"all\.lst: line 2:? {message}"):
        main([str(source), "--output", str(tmp_path), "--pairs", str(tmp_path / "p.txt")])


def test_a_wrong_image_size_is_an_error(tmp_path):
    source = write_list(tmp_path / "all.lst", [3] * 9)
    with pytest.raises(InputError, match="image size '112x112': expected height,width"):
        main([str(source), "--output", str(tmp_path), "--pairs", str(tmp_path / "p.txt"),
              "--image-size", "112x112"])  # fmt: skip


def test_a_photo_listed_twice_does_not_block_the_draw():
    people = {0: ["a", "a", "a"], 1: ["b", "b"]}
    pairs = make_pairs(people, [0, 1], 9, np.random.RandomState(0))
    assert [pair for pair in pairs if not pair[2]] == [("a", "b", False)]


def test_a_name_that_is_not_utf8_is_kept(tmp_path):
    source = tmp_path / "all.lst"
    lines = [b"1\tp%d/\xff%d.jpg\t%d\n" % (i // 3, i % 3, i // 3) for i in range(18)]
    source.write_bytes(b"".join(lines))
    main([str(source), "--output", str(tmp_path), "--pairs", str(tmp_path / "p.txt")])
    assert b"/\xff1.jpg\t0\n" in (tmp_path / "part_1" / "train.lst").read_bytes()
    assert b"/\xff" in (tmp_path / "p.txt").read_bytes()


def test_a_share_of_each_persons_photos(tmp_path, capsys):
    """10, 5, 2 and 1 photos: 2, 1, 0 and 0 are held out; the labels stay."""
    write_list(tmp_path / "all.lst", [10, 5, 2, 1, 10])
    main(
        [str(tmp_path / "all.lst"), "--output", str(tmp_path / "out"), "--pairs",
         str(tmp_path / "pairs.txt"), "--photos", "0.2", "--seed", "3"]
    )  # fmt: skip
    lines = (tmp_path / "out" / "part_1" / "train.lst").read_text().splitlines()
    trained = [line.split("\t")[1] for line in lines]
    assert [line.split("\t")[2] for line in lines] == [
        *("0" * 8), *("1" * 4), *("2" * 2), "3", *("4" * 8),
    ]  # fmt: skip
    pairs = read_pairs(tmp_path / "pairs.txt")
    used = {photo for first, second, _ in pairs for photo in (first, second)}
    assert not used & set(trained)
    assert len(pairs) == 4  # 2 persons have a pair of photos; as many of different people
    assert "(5 images) held out" in capsys.readouterr().out


def test_no_photo_to_hold_out_is_an_error(tmp_path):
    write_list(tmp_path / "all.lst", [2, 2, 2])
    with pytest.raises(InputError, match=r"holding out 0\.2 of each .* add photos or raise"):
        main(
            [str(tmp_path / "all.lst"), "--output", str(tmp_path / "out"), "--pairs",
             str(tmp_path / "pairs.txt"), "--photos", "0.2"]
        )  # fmt: skip
