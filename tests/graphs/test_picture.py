"""A network's drawing, with and without the program `dot`."""

import os
import stat
from collections import Counter

import pytest

from src.common.errors import InputError
from src.graphs.picture import check_format, draw, save
from src.graphs.summary import Layer

ROWS = [
    Layer("conv:0", Counter(["Convolution"]), (4, 8, 8), 1, 0, 1, ()),
    Layer("relu0", Counter(["Activation"]), (4, 8, 8), 0, 0, 0, ("conv:0",)),
    Layer("fc1", Counter(["Concat", "FullyConnected"]), (5,), 1, 0, 1, ("conv:0", "relu0")),
]


def test_each_row_is_a_box_and_each_input_an_arrow(tmp_path):
    path = tmp_path / "new" / "net.dot"
    assert save(draw("my net", ROWS), str(path))
    text = path.read_text()
    assert "my net" in text
    assert [line.strip() for line in text.splitlines() if "->" in line] == [
        "box0 -> box1",
        "box0 -> box2",
        "box1 -> box2",
    ]
    assert "4×8×8" in text
    assert "Concat, FullyConnected" in text


def program_dot(folder, script, monkeypatch):
    """Puts a program named dot first on the PATH."""
    folder.mkdir()
    program = folder / "dot"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_the_program_gets_the_graph_and_its_output_is_written(tmp_path, monkeypatch):
    """This `dot` prints its arguments and its input."""
    program_dot(tmp_path / "bin", 'echo "$@"\ncat', monkeypatch)
    assert save(draw("net", ROWS), str(tmp_path / "net.svg"))
    drawn = (tmp_path / "net.svg").read_text()
    assert drawn.startswith("-Tsvg\n")
    assert "box1 -> box2" in drawn


def test_a_failing_program_raises_an_error_and_leaves_no_file(tmp_path, monkeypatch, capfd):
    """As with a `dot` that was built without PNG."""
    program_dot(
        tmp_path / "bin", 'cat > /dev/null; echo "Format not recognized" >&2; exit 3', monkeypatch
    )
    path = tmp_path / "net.png"
    with pytest.raises(InputError, match=r"net\.png: the program dot failed with exit status 3"):
        save(draw("net", ROWS), str(path))
    assert not path.exists()
    assert "Format not recognized" in capfd.readouterr().err


def test_without_the_program_no_file_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not save(draw("net", ROWS), str(tmp_path / "net.png"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["net", "net.bmp", ".png", "net.PNG.exe"])
def test_supported_formats(name):
    with pytest.raises(
        InputError, match=r"expected a name that ends in \.png, \.svg, \.pdf, \.dot"
    ):
        check_format(name)
    for ending in ("png", "svg", "pdf", "dot", "gv"):
        check_format(f"some.where/net.{ending}")
