"""`python -m src.network_info`: its flags, tables and errors."""

import dataclasses
import subprocess
import sys

import pytest

from src import network_info as command
from src.checkpoints.files import save_checkpoint
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.losses.registry import losses
from src.symbols.table import letters, specs


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
        "losses": False,
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
    assert "most papers call these FLOPs" in lines[-1]


def test_all_lists_every_family(capsys, monkeypatch):
    assert {row.name[0] for spec in specs() for row in spec.rows} == set(letters())
    small = [
        dataclasses.replace(spec, rows=[row for row in spec.rows if row.name in ("y1", "s20")])
        for spec in specs()
    ]
    monkeypatch.setattr(command, "specs", lambda: [spec for spec in small if spec.rows])
    lines = printed(capsys, "--all")
    assert lines[0].startswith("| `--network` | paper | embedding | parameters | multiply-adds |")
    assert [line.split("|")[1].strip() for line in lines[2:5]] == ["s20", "y1 GDC", "y1 GNAP"]
    assert "](https://arxiv.org/abs/" in lines[2]
    assert any("| 128 | 0.98 M | 221 M |" in line for line in lines)


def test_all_losses_are_one_line_each(capsys):
    lines = printed(capsys, "--losses")
    assert [line.split("|")[1].strip() for line in lines[2:]] == [str(n) for n in losses()]


def test_a_checkpoint_can_be_shown_too(capsys, tmp_path):
    body = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=2, no_bias=True, name="fc1")
    symbol = mx.sym.FullyConnected(body, num_hidden=9, name="fc7")
    arrays = {
        "fc1_weight": mx.nd.ones((2, 300)),
        "fc7_weight": mx.nd.ones((9, 2)),
        "fc7_bias": mx.nd.ones((9,)),
    }
    save_checkpoint(tmp_path / "r50", 3, symbol, arrays, {})
    for name in (f"{tmp_path}/r50,3", f"{tmp_path}/r50"):
        lines = printed(capsys, name, "--image-size", "10,10")
        assert lines[1].split() == ["fc1", "FullyConnected", "2", "600", "600"]
    with pytest.raises(InputError, match=r"r50-0004.params; checkpoints in .*: r50,3"):
        printed(capsys, f"{tmp_path}/r50,4")


def test_a_picture_or_a_warning_with_the_reason(capsys, tmp_path, caplog):
    printed(capsys, "y1", "--picture", str(tmp_path / "y1.png"))
    (line,) = caplog.messages
    assert line.startswith("no picture: the program dot is missing")
    assert not (tmp_path / "y1.png").exists()
    lines = printed(capsys, "y1", "--picture", str(tmp_path / "y1.dot"))
    assert lines[-1] == f"picture: {tmp_path / 'y1.dot'}"
    assert "dconv_23" in (tmp_path / "y1.dot").read_text()
    with pytest.raises(InputError, match=r"expected a name that ends in"):
        printed(capsys, "y1", "--picture", "y1.bmp")


@pytest.mark.parametrize(
    ("name", "possible"),
    [
        ("q50", "a letter of d, i, "),
        ("resnet50", "a letter of d, i, "),
        ("", "a letter of d, i, "),
        ("r", "a letter of d, i, "),
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


def test_no_row_is_printed_if_one_of_several_names_is_wrong(capsys):
    with pytest.raises(InputError, match="'nope' is neither a network"):
        command.main(["y1", "nope"])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("size", ["0,112", "1,2,3", "a", ""])
def test_a_wrong_image_size(capsys, size):
    with pytest.raises(InputError, match=r"image size .*: expected height,width such as 112,112"):
        printed(capsys, "y1", "--image-size", size)
    with pytest.raises(InputError, match="photos of 1×1"):
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
    with pytest.raises(InputError, match=f"--emb-size {size}: expected an integer of at least 1"):
        printed(capsys, "y1", "--emb-size", size)


@pytest.mark.parametrize("depth", ["-1", "1.5", "a"])
def test_a_wrong_depth(capsys, depth):
    with pytest.raises(SystemExit):
        command.parse_args(["y1", "--depth", depth])
    assert f"'{depth}': expected an integer of at least 0" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["src.network_info", "src.symbols"])
def test_a_wrong_name_ends_the_process_with_one_line(module):
    done = subprocess.run([sys.executable, "-m", module, "r51"], capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert done.stdout == ""
