"""Networks that users define: in a file, and in an installed package."""

import importlib.metadata
import re

import pytest

from src import train_softmax
from src.checkpoints.files import load_checkpoint
from src.common.errors import InputError
from src.symbols import table
from src.symbols.outside import ENTRY_POINTS, load_network
from src.symbols.table import build_embedding, find_network

FILE = '''
"""A network of a user."""

from __future__ import annotations

import dataclasses

from src.common.mxnet_backend import mx
from src.symbols.spec import NetworkSpec
from src.symbols.symbol_utils import get_fc1


def get_symbol(num_classes, num_layers, version_output="E", **versions):
    body = (mx.sym.var("data") - 127.5) / 128
    for layer in range(num_layers):
        body = mx.sym.Convolution(
            body, num_filter=8, kernel=(3, 3), stride=(4, 4), name=f"own{layer}"
        )
        body = mx.sym.LeakyReLU(body, act_type="prelu", name=f"relu{layer}")
    return get_fc1(body, num_classes, version_output)


SPEC = NetworkSpec("w", "Own", "", get_symbol, [], numbers=(2, 3))


@dataclasses.dataclass
class Settings:
    layers: int = 2


def make():
    return SPEC


def broken():
    raise KeyError("no such layer")


def other():
    return 5
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my networks.py"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize(
    ("name", "layers"), [("SPEC", 2), ("make", 2), ("SPEC:3", 3), ("make:3", 3)]
)
def test_a_spec_or_a_function_in_a_file(file, name, layers):
    spec, number = find_network(f"{file}:{name}")
    assert (spec.family, number) == ("Own", layers)
    arguments = build_embedding(f"{file}:{name}", 16).list_arguments()
    assert [a for a in arguments if a.startswith("own")] == [
        f"own{layer}_{kind}" for layer in range(layers) for kind in ("weight", "bias")
    ]


def test_it_is_trained_saved_and_resumed(file, learnable_set, tmp_path):
    for steps in ("1", "2"):
        train_softmax.main(
            ["--data-dir", str(learnable_set), "--prefix", str(tmp_path / "m"), "--target", "",
             "--network", f"{file}:make", "--emb-size", "16", "--per-batch-size", "4",
             "--max-steps", steps, "--ckpt", "2", "--lr", "0.01", "--resume"]
        )  # fmt: skip
    symbol, arg_params, _ = load_checkpoint(str(tmp_path / "m"), 2)
    assert "own1_weight" in arg_params
    assert symbol.list_outputs() == ["blockgrad0_output", "softmax_output"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "does not define 'absent'"),
        ("", "does not define ''"),
        ("broken", "fails: KeyError: 'no such layer'"),
        (
            "other",
            "expected a src.symbols.spec.NetworkSpec or a function that returns one",
        ),
        ("SPEC:x", "expected a number after the second colon"),
    ],
)
def test_what_is_no_network_is_named(file, name, message):
    with pytest.raises(InputError, match=re.escape(message)):
        load_network(f"{file}:{name}")


def test_files_that_cannot_be_run_are_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*absent\.py"):
        load_network(f"{tmp_path}/absent.py:make")
    broken = tmp_path / "broken.py"
    broken.write_text("import nothing_of_this_name\n")
    with pytest.raises(InputError, match=r"broken\.py fails: ModuleNotFoundError: No module named"):
        load_network(f"{broken}:make")
    broken.write_text("def (:\n")
    with pytest.raises(InputError, match=r"broken\.py fails: SyntaxError"):
        load_network(f"{broken}:make")


def install(tmp_path, monkeypatch, source):
    """A package `own_networks` with an entry point for `own_networks:SPEC`."""
    (tmp_path / "own_networks.py").write_text(source)
    information = tmp_path / "own_networks-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: own-networks\nVersion: 1\n")
    (information / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\nown = own_networks:SPEC\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "own_networks", raising=False)
    assert importlib.metadata.version("own-networks") == "1"


@pytest.fixture
def fresh_table():
    table.specs.cache_clear()
    yield
    table.specs.cache_clear()


@pytest.mark.usefixtures("fresh_table")
def test_an_installed_package_provides_networks(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, FILE)
    assert find_network("w3")[0].family == "Own"
    assert "own2_weight" in build_embedding("w3", 16).list_arguments()


@pytest.mark.usefixtures("fresh_table")
@pytest.mark.parametrize(
    ("source", "message"),
    [
        (FILE.replace('"w"', '"y"').replace("(2, 3)", "None"), "both define the network y"),
        ("SPEC = 3", "expected a src.symbols.spec.NetworkSpec"),
        ("1 / 0", "own_networks:SPEC in insightface_mxnet.networks: ZeroDivisionError"),
    ],
)
def test_a_package_that_does_not_fit_is_named(tmp_path, monkeypatch, source, message):
    install(tmp_path, monkeypatch, source)
    with pytest.raises(InputError, match=re.escape(message)):
        find_network("r50")
