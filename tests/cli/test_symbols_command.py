"""`python -m src.symbols`: its flags, tables and refusals."""

import subprocess
import sys

import pytest

from src.common import checkpoints
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.symbols import __main__ as command
from src.training.networks import BUILDERS


@pytest.fixture(autouse=True)
def _no_drawing_program(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


def printed(capsys, *flags):
    command.main([*flags])
    return capsys.readouterr().out.splitlines()


def test_defaults():
    args = vars(command.parse_args(["r50"]))
    assert args == {
        "names": ["r50"],
        "all": False,
        "version_se": 0,
        "version_input": 1,
        "version_output": None,  # E; GDC for y
        "version_unit": 3,
        "version_act": "prelu",
        "use_deformable": 0,
        "emb_size": None,  # 512; 128 for y
        "image_size": "112,112",
        "depth": None,
        "picture": "",
    }


def test_a_network_is_one_table(capsys):
    lines = printed(capsys, "y1", "--depth", "1")
    assert lines[0].split() == ["layer", "operators", "output", "parameters", "multiply-adds"]
    assert len({line.rstrip()[-1] for line in lines[1:8]} - set("0123456789")) == 0
    assert any(
        line.split()[0] == "fc1" and line.split()[2:] == ["128", "256", "0"] for line in lines
    )
    (foot,) = [line.split() for line in lines if line.startswith("total")]
    assert foot == ["total", "147", "layers", "1,003,264", "220,965,376"]
    text = "\n".join(lines)
    assert "parameters                 1,003,264  learnt, without the classifier" in text
    assert "auxiliary states              19,584" in text
    assert "multiply-adds            220,965,376  for one photo of 112×112" in text
    assert "operations               441,930,752" in text


def test_the_flags_of_a_network(capsys):
    plain = printed(capsys, "y1")
    wide = printed(
        capsys, "y1", "--version-output", "GNAP", "--emb-size", "256", "--image-size", "112,96"
    )
    assert any(line.startswith("fc1 ") and " 256 " in line for line in wide)
    assert any("photo of 112×96" in line for line in wide)
    assert plain != wide
    excited = printed(capsys, "r18", "--version-se", "1", "--depth", "2")
    assert any("stage1_unit1" in line for line in excited)
    assert len(printed(capsys, "y1", "--depth", "0")) > 147


def test_several_networks_are_one_line_each(capsys):
    lines = printed(capsys, "y1", "r18")
    assert lines[0] == "| network | embedding | parameters | multiply-adds |"
    assert lines[2:4] == ["| y1 | 128 | 1.00 M | 221 M |", "| r18 | 512 | 24.03 M | 2.61 G |"]
    assert "papers mostly call these FLOPs" in lines[-1]


def test_all_lists_every_family(capsys, monkeypatch):
    assert {name[0] for name, _ in command.NETWORKS} == set(BUILDERS)
    monkeypatch.setattr(command, "NETWORKS", (("y1", "GNAP"), ("s20", "")))
    lines = printed(capsys, "--all")
    assert [line.split("|")[1].strip() for line in lines[2:4]] == ["y1 GNAP", "s20"]
    assert "| y1 GNAP | 128 | 0.98 M | 221 M |" in lines


def test_a_checkpoint_is_a_network_too(capsys, tmp_path):
    body = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=2, no_bias=True, name="fc1")
    symbol = mx.sym.FullyConnected(body, num_hidden=9, name="fc7")
    arrays = {
        "fc1_weight": mx.nd.ones((2, 300)),
        "fc7_weight": mx.nd.ones((9, 2)),
        "fc7_bias": mx.nd.ones((9,)),
    }
    checkpoints.save(tmp_path / "r50", 3, symbol, arrays, {})
    for name in (f"{tmp_path}/r50,3", f"{tmp_path}/r50"):
        lines = printed(capsys, name, "--image-size", "10,10")
        assert lines[1].split() == ["fc1", "FullyConnected", "2", "600", "600"]
    with pytest.raises(InputError, match=r"r50-0004.params; checkpoints in .*: r50,3"):
        printed(capsys, f"{tmp_path}/r50,4")


def test_a_picture_or_a_line_that_says_why_not(capsys, tmp_path, caplog):
    printed(capsys, "y1", "--picture", str(tmp_path / "y1.png"))
    (line,) = caplog.messages
    assert line.startswith("no picture: the program dot is not here")
    assert not (tmp_path / "y1.png").exists()
    lines = printed(capsys, "y1", "--picture", str(tmp_path / "y1.dot"))
    assert lines[-1] == f"picture: {tmp_path / 'y1.dot'}"
    assert "dconv_23" in (tmp_path / "y1.dot").read_text()
    with pytest.raises(InputError, match=r"expected a name that ends in"):
        printed(capsys, "y1", "--picture", "y1.bmp")


@pytest.mark.parametrize(
    ("name", "possible"),
    [
        ("q50", "a letter of r, y, "),
        ("resnet50", "a letter of r, y, "),
        ("", "a letter of r, y, "),
        ("r", "a letter of r, y, "),
        ("r51", "expected one of r18, r34, r50"),
        ("d1", "d121"),
        ("s3", "s20"),
        ("p1", "p92"),
    ],
)
def test_wrong_names_list_what_is_possible(capsys, name, possible):
    with pytest.raises(InputError) as error:
        printed(capsys, name)
    assert possible in str(error.value)
    assert "\n" not in str(error.value)


def test_no_row_where_one_of_several_names_is_wrong(capsys):
    with pytest.raises(InputError, match="'nope' is neither a network"):
        command.main(["y1", "nope"])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("size", ["0,112", "1,2,3", "a", ""])
def test_a_wrong_image_size(capsys, size):
    with pytest.raises(InputError, match=r"image size .*: expected height,width such as 112,112"):
        printed(capsys, "y1", "--image-size", size)
    with pytest.raises(InputError, match="the network does not take photos of 1×1"):
        printed(capsys, "y1", "--image-size", "1")


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["r50", "--all"],
        ["r50", "y1", "--picture", "a.png"],
        ["r50", "--depth", "-1"],
        ["r50", "--network", "r50"],
    ],
)
def test_wrong_flags(capsys, flags):
    with pytest.raises(SystemExit) as exit_info:
        command.parse_args(flags)
    assert exit_info.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("size", ["0", "-3"])
def test_a_wrong_embedding_size(capsys, size):
    with pytest.raises(InputError, match=f"--emb-size {size}: expected a whole number from 1"):
        printed(capsys, "y1", "--emb-size", size)


@pytest.mark.parametrize("depth", ["-1", "1.5", "a"])
def test_a_wrong_depth(capsys, depth):
    with pytest.raises(SystemExit):
        command.parse_args(["y1", "--depth", depth])
    assert f"'{depth}': expected a whole number from 0 on" in capsys.readouterr().err


def test_the_process_ends_on_a_wrong_name_with_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "src.symbols", "r51"], capture_output=True, text=True
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert done.stdout == ""
