"""The command `src.identify`, on folders and on the embeddings of `src.embed`."""

import json
from pathlib import Path

import numpy as np
import pytest

from src import embed, identify
from src.common.errors import InputError


def write(path, rows, labels):
    np.save(path, np.asarray(rows, np.float32))
    lines = [f"{n}\t{label}/{n}.jpg\t{label}\t\n" for n, label in enumerate(labels)]
    path.with_suffix(".tsv").write_text("row\tname\tlabel\tnote\n" + "".join(lines))
    return str(path)


def test_embeddings(tmp_path, capsys):
    nan = [np.nan, np.nan, np.nan]
    gallery = write(
        tmp_path / "gallery.npy",
        [[1, 0, 0], [0.6, 0.8, 0], [0, 0, 1], nan],
        ["ann", "bob", "cat", "ann"],
    )
    strangers = [[0.8, 0.6, 0]] + 9 * [[0, -1, 0]]
    probes = write(
        tmp_path / "probe.npy",
        [[1, 0, 0], [0.8, -0.6, 0], [0, 0.8, 0.6], nan, *strangers],
        ["ann", "bob", "cat", "cat", *(f"x{n}" for n in range(10))],
    )
    output = tmp_path / "found.json"
    identify.main(["--gallery", gallery, "--probe", probes, "--output", str(output)])
    out = capsys.readouterr().out
    assert "3 people; probes: 3 mated, 10 of strangers" in out
    # The threshold is the second stranger's 0; ann is right; bob and cat come second.
    assert "rank-1: 0.33333" in out
    assert "TPIR@FPIR=0.1: 0.33333 (cosine above 0.0000)" in out
    assert json.loads(output.read_text()) == {
        "people": 3, "mated": 3, "unmated": 10, "ranks": {"1": 1 / 3},
        "rates": [{"fpir": 0.1, "tpir": 1 / 3, "threshold": 0.0}],
    }  # fmt: skip


def test_folders_are_embedded_first(tmp_path, monkeypatch, capsys):
    asked = []

    def embedded(args):
        asked.append((args.input, args.model, args.align, args.gpu))
        write(Path(args.output), np.eye(3)[:2], ["ann", "bob"])

    monkeypatch.setattr(embed, "write_embeddings", embedded)
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        (folder / "ann").mkdir(parents=True)
        (folder / "ann" / "1.jpg").write_bytes(b"photo")
    paths = list(map(str, folders))
    identify.main(["--gallery", paths[0], "--probe", paths[1], "--model", "m,1", "--align"])
    assert asked == [(path, "m,1", True, -1) for path in paths]
    assert "rank-1: 1.00000" in capsys.readouterr().out


def test_every_flag_of_embed_is_passed_on():
    passed = {"input", "output", *identify.EMBEDDING_FLAGS}
    assert passed == set(
        vars(embed.parse_args(["--input", "a", "--model", "m", "--output", "a.npy"]))
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g, p: write(p, np.eye(2), ["ann", ""]), "1 pictures have no label"),
        (lambda g, p: write(p, np.full((1, 3), np.nan), ["a"]), "no picture has an embedding"),
        (lambda g, p: write(p, np.eye(2), ["ann", "bob"]), "embeddings of 3 and 2 numbers"),
        (lambda g, p: p.write_bytes(b"no array"), "is not a .npy of numbers"),
        (lambda g, p: p.with_suffix(".tsv").write_text("a\n"), "expected the columns row, name"),
        (
            lambda g, p: p.with_suffix(".tsv").write_text("row\tname\tlabel\tnote\n"),
            "which has 0 rows: embed the pictures again",
        ),
    ],
)
def test_wrong_input(tmp_path, change, message):
    gallery, probe = tmp_path / "gallery.npy", tmp_path / "probe.npy"
    write(gallery, np.eye(3), ["ann", "bob", "cat"])
    write(probe, np.eye(3), ["ann", "bob", "cat"])
    change(gallery, probe)
    with pytest.raises(InputError, match=message):
        identify.main(["--gallery", str(gallery), "--probe", str(probe)])


def test_pictures_need_a_model(capsys):
    with pytest.raises(SystemExit):
        identify.parse_args(["--gallery", "a", "--probe", "b.npy"])
    assert "--model is needed" in capsys.readouterr().err


def test_a_missing_folder_is_reported_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(embed, "write_embeddings", lambda args: pytest.fail("work"))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(b"photo")
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        identify.main(["--gallery", str(tmp_path), "--probe", "nowhere", "--model", "m,1"])


def test_a_picture_without_label_and_embedding_does_not_matter(tmp_path, caplog, capsys):
    gallery = write(tmp_path / "gallery.npy", np.eye(2), ["ann", "bob"])
    probe = write(tmp_path / "probe.npy", [[1, 0], [np.nan, np.nan]], ["ann", ""])
    identify.main(["--gallery", gallery, "--probe", probe])
    assert "1 pictures without an embedding are left out" in caplog.text
    assert "rank-1: 1.00000" in capsys.readouterr().out
