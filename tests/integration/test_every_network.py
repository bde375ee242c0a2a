"""Every family trains with every margin on two devices, and the saved model is verified."""

import re
import shutil

import numpy as np
import pytest

from src import train_softmax
from src.checkpoints.files import load_checkpoint
from src.eval import verification
from src.formats.records import RecordReader
from src.formats.verification_set import write_bin
from src.symbols.table import letters

EMBEDDING_SIZE = 16
# The smallest network of each family; m has two architectures.
NETWORKS = {
    "y1": ["--version-output", "GDC"],
    "m1": ["--version-output", "GDC"],
    "s20": [],
    "r18": [],
    "m2": [],
    "d121": [],
    "p92": [],
    "i2": [],
    "x1": [],
    "n1": [],
}
FAST = ("y1", "m1", "s20", "r18", "m2", "d121")
LOSSES = (0, 2, 4, 5)


@pytest.fixture(scope="module")
def small_set(learnable_set, tmp_path_factory):
    """The learnable set with two pairs to verify."""
    folder = tmp_path_factory.mktemp("every") / "set"
    shutil.copytree(learnable_set, folder)
    with RecordReader(folder / "train.rec") as reader:
        photos = [reader.read(record_id).content for record_id in (1, 2, 1, 7)]
    write_bin(folder / "few.bin", photos, [True, False])
    return folder


def train_and_verify(folder, prefix, network, loss_type, capsys):
    """Two steps on two devices; returns what verification of the last checkpoint prints."""
    train_softmax.main(
        [
            *["--data-dir", str(folder), "--prefix", str(prefix), "--target", "", "--seed", "3"],
            *["--network", network, *NETWORKS[network], "--emb-size", str(EMBEDDING_SIZE)],
            *["--loss-type", str(loss_type), "--devices", "cpu:0,cpu:1", "--per-batch-size", "2"],
            *["--max-steps", "2", "--verbose", "1", "--ckpt", "2", "--lr", "0.001"],
        ]
    )
    capsys.readouterr()
    verification.main(
        [
            *["--data-dir", str(folder), "--model", f"{prefix},2", "--target", "few"],
            *["--batch-size", "4", "--nfolds", "1", "--gpu", "-1"],
        ]
    )
    return capsys.readouterr().out


@pytest.mark.parametrize("loss_type", LOSSES)
@pytest.mark.parametrize(
    "network",
    [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS],
)
def test_two_steps_on_two_devices_give_a_checkpoint_that_verifies(
    small_set, tmp_path, capsys, network, loss_type
):
    printed = train_and_verify(small_set, tmp_path / "model", network, loss_type, capsys)
    assert re.search(r"^\[few\]XNorm: \d+\.\d+$", printed, re.MULTILINE), printed
    assert re.search(r"^\[few\]Accuracy-Flip: [01]\.\d{5}\+-", printed, re.MULTILINE), printed

    symbol, before, _ = load_checkpoint(tmp_path / "model", 1)
    _, after, states = load_checkpoint(tmp_path / "model", 2)
    assert symbol.list_outputs() == ["blockgrad0_output", "softmax_output"]
    assert sorted(after) == sorted(set(symbol.list_arguments()) - {"data", "softmax_label"})
    assert sorted(states) == sorted(symbol.list_auxiliary_states())
    for name, array in {**after, **states}.items():
        assert np.isfinite(array.asnumpy()).all(), name
    # The second step changed the first layer and the last.
    weights = [name for name in symbol.list_arguments() if name.endswith("_weight")]
    for name in (weights[0], "fc7_weight"):
        assert not np.array_equal(before[name].asnumpy(), after[name].asnumpy()), name


def test_no_family_is_left_out():
    assert {name[0] for name in NETWORKS} == set(letters())
