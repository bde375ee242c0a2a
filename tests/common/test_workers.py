"""The workers of a run: a single process, and how a process becomes one of several."""

import logging

import numpy as np
import pytest

from src import train_softmax, train_triplet
from src.common import workers
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.common.workers import Workers, join_workers
from src.training.command import begin
from src.training.joint_start import check_alike, only_first_speaks
from src.training.stopping import Diverged


class Second(Workers):
    """The second of two; what all say is given."""

    rank, count, is_distributed = 1, 2, True

    def __init__(self, everyone=None):
        self.everyone = np.array(everyone)

    def gathered(self, values):
        return self.everyone


def test_a_single_process_exchanges_nothing():
    alone = Workers()
    assert (alone.rank, alone.count, alone.is_first) == (0, 1, True)
    np.testing.assert_array_equal(alone.gathered([1, 2]), [[1, 2]])
    np.testing.assert_array_equal(alone.total([1, 2]), [1, 2])
    assert alone.any(True)
    assert not alone.any(False)
    assert alone.from_first(lambda: {"a": 1}) == {"a": 1}
    array = mx.nd.ones((2, 3))
    alone.add_up("a", array)
    alone.copy_first("a", array)
    assert alone.gathered_rows("a", array) is array
    np.testing.assert_array_equal(array.asnumpy(), 1)
    with pytest.raises(ValueError, match="x"), alone.together():
        raise ValueError("x")


def test_a_run_of_one_process_ignores_the_store():
    assert type(join_workers("device", 5)) is type(join_workers("local", 5)) is Workers


def test_the_store_needs_the_launcher(monkeypatch):
    with pytest.raises(InputError, match=r"recipes/launch\.sh -n WORKERS"):
        join_workers("dist_sync", 5)
    monkeypatch.setenv(workers.ADDRESS, "127.0.0.1")
    monkeypatch.setenv("DMLC_NUM_WORKER", "2")
    monkeypatch.setenv("DMLC_ROLE", "worker")
    with pytest.raises(InputError, match=r"one of 2 workers .*: add --kvstore dist_sync"):
        join_workers("device", 5)


@pytest.mark.parametrize("command", [train_softmax, train_triplet])
def test_the_flag_reaches_the_run(command, learnable_set, tmp_path):
    args = command.parse_args(["--kvstore", "dist_sync", "--prefix", str(tmp_path / "m")])
    with pytest.raises(InputError, match=r"--kvstore dist_sync: start the command with"):
        command.train_net(args)


def test_what_one_process_alone_can_do(learnable_set, tmp_path):
    common = ["--data-dir", str(learnable_set), "--prefix", str(tmp_path / "m"), "--seed", "1"]
    args = train_triplet.parse_args([*common, "--noise-sgd", "0.1"])
    with pytest.raises(InputError, match="--noise-sgd does not work with --kvstore dist_sync"):
        begin(args, Second())


@pytest.mark.parametrize(
    ("everyone", "message"),
    [
        ([[2, 8, 5], [1, 4, 5]], "worker 1 has 1 devices, the first one 2"),
        ([[2, 8, 5], [2, 4, 5]], "worker 1 has 4 images in its batch, the first one 8"),
        ([[2, 8, 5], [2, 8, 6]], "--data-dir of worker 1 is not that of the first one"),
    ],
)
def test_workers_that_differ(everyone, message):
    check_alike(Second([[2, 8, 5], [2, 8, 5]]), 2, 8, "5")
    with pytest.raises(InputError, match=message):
        check_alike(Second(everyone), 2, 8, "5")


def test_only_the_first_speaks(capsys, caplog):
    own = logging.getLogger("src.loading.image_batches")

    def say():
        print("printed")
        logging.info("told")
        own.warning("an image of mine is broken")
        logging.error("failed")

    caplog.set_level(logging.INFO)
    with only_first_speaks(Workers()):
        say()
    assert capsys.readouterr().out == "printed\n"
    assert caplog.messages == ["told", "an image of mine is broken", "failed"]
    caplog.clear()
    with only_first_speaks(Second()):
        say()
    assert capsys.readouterr().out == ""
    assert caplog.messages == ["an image of mine is broken", "failed"]
    with pytest.raises(Diverged), only_first_speaks(Workers()):
        raise Diverged("the loss is nan")
    with pytest.raises(SystemExit), only_first_speaks(Second()):
        raise Diverged("the loss is nan")
    say()
    assert capsys.readouterr().out == "printed\n"
