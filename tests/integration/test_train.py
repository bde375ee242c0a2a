"""2018's `train.py`: both commands by the number of the loss."""

import pytest

from src import train
from src.checkpoints.files import load_checkpoint


def run(learnable_set, prefix, *more):
    flags = ["--network", "y1", "--version-output", "GDC", "--emb-size", "32", "--target", ""]
    flags += ["--data-dir", str(learnable_set), "--prefix", str(prefix), "--max-steps", "1"]
    train.main([*flags, "--ckpt", "2", "--lr", "0.001", *more])


@pytest.mark.parametrize("loss", ["0", "4"])
def test_losses_with_classes(learnable_set, tmp_path, loss):
    run(learnable_set, tmp_path / "m", "--loss-type", loss, "--per-batch-size", "4")
    assert "fc7_weight" in load_checkpoint(str(tmp_path / "m"), 1)[1]


def test_triplets(learnable_set, tmp_path):
    more = ["--triplet-alpha", "1.5", "--triplet-bag-size", "12", "--per-batch-size", "6"]
    run(learnable_set, tmp_path / "m", "--loss-type=12", *more)
    assert "fc7_weight" not in load_checkpoint(str(tmp_path / "m"), 1)[1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [(["--loss-type", "3"], "expected one of"), (["--loss", "arcface"], "--loss-type 4"),
     (["--dataset", "emore"], "--data-dir")],
)  # fmt: skip
def test_others_are_rejected_by_name(learnable_set, tmp_path, capsys, flags, message):
    with pytest.raises(SystemExit):
        run(learnable_set, tmp_path / "m", *flags)
    assert message in capsys.readouterr().err
