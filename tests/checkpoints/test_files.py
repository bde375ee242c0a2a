"""Checkpoint files: written completely or not at all, read back, damaged."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from src.checkpoints.files import (
    drop_other_class_count,
    load_checkpoint,
    save_checkpoint,
)
from src.checkpoints.names import params_path, symbol_path
from src.common.errors import InputError
from src.common.mxnet_backend import mx


@pytest.fixture
def prefix(tiny, tmp_path):
    """Prefix of a model with epochs 2, 10 and 10000, next to another model and other files."""
    prefix = str(tmp_path / "models" / "y1")
    for epoch in (10, 2, 10000):
        save_checkpoint(prefix, epoch, tiny.symbol(), *tiny.parameters(seed=epoch))
    save_checkpoint(str(tmp_path / "models" / "y1-b"), 7, tiny.symbol(), *tiny.parameters())
    (tmp_path / "models" / "y1-last.params").write_bytes(b"")
    (tmp_path / "models" / "y1-0003.params.part").write_bytes(b"")
    return prefix


def test_a_missing_graph_is_named(prefix):
    os.remove(symbol_path(prefix))
    with pytest.raises(InputError, match=r"no .*y1-symbol.json, the graph that belongs to"):
        load_checkpoint(prefix, 2)


def test_mxnet_reads_what_is_saved(tiny, prefix):
    symbol, arg_params, aux_params = mx.model.load_checkpoint(prefix, 10)
    expected_args, expected_aux = tiny.parameters(seed=10)
    assert symbol.tojson() == tiny.symbol().tojson()
    for read, expected in ((arg_params, expected_args), (aux_params, expected_aux)):
        assert read.keys() == expected.keys()
        for name in expected:
            np.testing.assert_array_equal(read[name].asnumpy(), expected[name].asnumpy())


def test_load_reads_what_mxnet_saves(tiny, tmp_path):
    prefix = str(tmp_path / "model")
    mx.model.save_checkpoint(prefix, 1, tiny.symbol(), *tiny.parameters())
    symbol, arg_params, aux_params = load_checkpoint(prefix, 1)
    assert symbol.list_outputs() == ["softmax_output"]
    assert arg_params["fc7_weight"].shape == (3, 4)
    assert set(aux_params) == {"fc1_moving_mean", "fc1_moving_var"}


def test_a_failing_save_keeps_the_existing_files(tiny, tmp_path, monkeypatch):
    prefix = str(tmp_path / "model")

    def fail(path, arrays):
        with open(path, "wb") as file:
            file.write(b"half")
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(mx.nd, "save", fail)
        with pytest.raises(OSError, match="disk full"):
            save_checkpoint(prefix, 1, tiny.symbol(), *tiny.parameters())
        assert not list(tmp_path.iterdir())
    save_checkpoint(prefix, 1, tiny.symbol(), *tiny.parameters())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(mx.nd, "save", fail)
    with pytest.raises(OSError, match="disk full"):  # another network under the same prefix
        save_checkpoint(prefix, 1, tiny.symbol(5), *tiny.parameters(5))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_params_never_appear_before_their_graph(tiny, tmp_path, monkeypatch):
    prefix = str(tmp_path / "model")
    appeared = []
    rename = os.replace
    monkeypatch.setattr(
        os, "replace", lambda old, new: (appeared.append(os.path.basename(new)), rename(old, new))
    )
    save_checkpoint(prefix, 1, tiny.symbol(), *tiny.parameters())
    save_checkpoint(prefix, 2, tiny.symbol(), *tiny.parameters())  # the same graph stays
    assert appeared == ["model-symbol.json", "model-0001.params", "model-0002.params"]


@pytest.mark.parametrize("killed_in", ["mx.nd.save", "os.replace", "os.fsync"])
def test_a_killed_save_keeps_the_previous_checkpoint(tiny, tmp_path, killed_in):
    prefix = str(tmp_path / "model")
    save_checkpoint(prefix, 1, tiny.symbol(), *tiny.parameters())
    program = f"""
        import os, signal
        from src.checkpoints.files import load_checkpoint, save_checkpoint
        from src.common.mxnet_backend import mx
        symbol, arg_params, aux_params = load_checkpoint({prefix!r}, 1)
        larger = {{name: array * 2 for name, array in arg_params.items()}}
        def die(*arguments):
            if isinstance(arguments[0], str):
                with open(arguments[0], "ab") as file:
                    file.write(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        {killed_in} = die
        save_checkpoint({prefix!r}, 1, symbol, larger, aux_params)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], stderr=subprocess.PIPE)
    assert done.returncode == -signal.SIGKILL, done.stderr
    _, arg_params, _ = load_checkpoint(prefix, 1)
    expected, _ = tiny.parameters()
    for name, array in expected.items():
        np.testing.assert_array_equal(arg_params[name].asnumpy(), array.asnumpy())
    save_checkpoint(prefix, 1, tiny.symbol(), *tiny.parameters(seed=5))  # and the next run works
    assert load_checkpoint(prefix, 1)[1]["fc7_bias"] is not None


@pytest.mark.parametrize("missing", [1, 100, 4000])
def test_a_full_disk_is_noticed_at_any_byte(tiny, tmp_path, missing):
    """MXNet itself only notices if more than its last buffer is missing."""
    prefix = str(tmp_path / "model")
    path = save_checkpoint(prefix, 1, tiny.symbol(), *tiny.parameters())
    size = os.path.getsize(path)
    program = f"""
        import resource, signal
        from src.checkpoints.files import load_checkpoint, save_checkpoint
        checkpoint = load_checkpoint({prefix!r}, 1)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({size - missing}, {size - missing}))
        try:
            save_checkpoint({prefix!r}, 2, *checkpoint)
        except OSError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True
    )
    assert "no space for " in done.stdout, done.stderr
    assert sorted(os.listdir(tmp_path)) == ["model-0001.params", "model-symbol.json"]


@pytest.mark.parametrize("damage", [b"", b"not arrays at all", None])
def test_damaged_params(prefix, damage):
    path = params_path(prefix, 2)
    with open(path, "rb") as file:
        whole = file.read()
    with open(path, "wb") as file:
        file.write(whole[: len(whole) // 2] if damage is None else damage)
    with pytest.raises(InputError, match=r"y1-0002.params is damaged or not an MXNet file"):
        load_checkpoint(prefix, 2)


@pytest.mark.parametrize("text", ["", "{", "no json", "\udcff"])
def test_damaged_graph(prefix, text):
    with open(symbol_path(prefix), "wb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"y1-symbol.json is not an MXNet graph"):
        load_checkpoint(prefix, 2)


@pytest.mark.parametrize(
    "rename",
    [
        lambda kind, name: name,
        lambda kind, name: f"{kind}:module.{name}",
        lambda kind, name: f"module.{name}",
        lambda kind, name: f"module.{kind}:{name}",
        lambda kind, name: f"{kind}:model/backbone/{name}",
        lambda kind, name: f"arg:{name}",  # also the moving means
    ],
)
def test_array_names_of_other_programs(tiny, prefix, rename, caplog):
    arg_params, aux_params = tiny.parameters(seed=1)
    arrays = {rename("arg", name): array for name, array in arg_params.items()}
    arrays |= {rename("aux", name): array for name, array in aux_params.items()}
    mx.nd.save(params_path(prefix, 2), arrays)
    _, *loaded = load_checkpoint(prefix, 2)
    for read, expected in zip(loaded, (arg_params, aux_params), strict=True):
        assert read.keys() == expected.keys()
        for name in expected:
            np.testing.assert_array_equal(read[name].asnumpy(), expected[name].asnumpy())
    assert "does not use" not in caplog.text


def test_arrays_that_the_graph_does_not_have_are_listed(tiny, prefix, caplog):
    arg_params, aux_params = tiny.parameters()
    extra = {"conv9_weight": mx.nd.ones(2), "conv9_bias": mx.nd.ones(2)}
    save_checkpoint(prefix, 2, tiny.symbol(), arg_params | extra, aux_params)
    _, loaded, _ = load_checkpoint(prefix, 2)
    assert set(loaded) == set(arg_params) | set(extra)
    assert "contains arrays that its graph does not use: conv9_weight, conv9_bias" in caplog.text


def test_parameters_of_gluon_are_recognised(prefix):
    mx.nd.save(params_path(prefix, 2), {"conv.weight": mx.nd.ones(2)})
    with pytest.raises(InputError, match="gluon"):
        load_checkpoint(prefix, 2)
    mx.nd.save(params_path(prefix, 2), [mx.nd.ones(2)])
    with pytest.raises(InputError, match="gluon"):
        load_checkpoint(prefix, 2)


def test_other_class_count_drops_fc7(tiny, caplog):
    arg_params, _ = tiny.parameters(classes=3)
    assert drop_other_class_count(arg_params, 3) == arg_params
    assert not caplog.text
    kept = drop_other_class_count(arg_params, 5)
    assert set(arg_params) - set(kept) == {"fc7_weight", "fc7_bias"}
    assert "trained on 3 classes, this data set has 5: its fc7_weight and fc7_bias" in caplog.text
    assert drop_other_class_count(kept, 5) == kept
