"""Training by several worker processes on this machine, started by `src.training.launch`."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from src.common.errors import INTERRUPTED, WRONG_INPUT
from src.common.mxnet_backend import mx
from src.common.workers import TIMED_OUT
from src.training.resume import state_path

pytestmark = pytest.mark.skipif(
    not mx.runtime.Features().is_enabled("DIST_KVSTORE"),
    reason="this MXNet has no distributed key-value store: several workers are NOT tested",
)

PATIENCE = 120  # seconds for what takes some ten
MOST_SECONDS_TO_END = 60

# Records the metrics and the gradient norm of every batch. `stuck` makes the second worker hang,
# `slow` makes all wait for a signal before batch 15.
PROGRAM = """
import json, sys, time
from src import train_softmax, train_triplet
from src.common.errors import run_command
from src.common.log import configure_logging
from src.training.hooks import Hook

class Curve(Hook):
    def __init__(self):
        self.rows = []

    def after_step(self, trainer, progress):
        values = [value for _, value in progress.eval_metric.get_name_value()]
        self.rows.append([*values, trainer.gradient_norm()])
        if sys.argv[1] == "stuck" and trainer.workers.rank == 1 and progress.step == 3:
            time.sleep(600)
        if sys.argv[1] == "slow" and progress.step > 10:
            time.sleep(2)

    def finish(self, trainer, progress):
        if trainer.workers.is_first and "json" in sys.argv[1]:
            with open(sys.argv[1], "w") as file:
                json.dump(self.rows, file)

command = {"softmax": train_softmax, "triplet": train_triplet}[sys.argv[2]]
configure_logging()
run_command(lambda: command.train_net(command.parse_args(sys.argv[3:]), [Curve()]))
"""

# Convolution, batch normalisation and PReLU, twice; starts faster than any network of the project.
NETWORK = """
from src.common.mxnet_backend import mx
from src.symbols.spec import NetworkSpec

def layer(data, number):
    data = mx.sym.Convolution(
        data, kernel=(3, 3), stride=(4, 4), num_filter=8, no_bias=True, name=f"c{number}")
    data = mx.sym.BatchNorm(data, fix_gamma=False, name=f"b{number}")
    return mx.sym.LeakyReLU(data, act_type="prelu", name=f"p{number}")

def get_symbol(num_classes, num_layers=0, **settings):
    data = (mx.sym.var("data") - 127.5) * 0.0078125
    return mx.sym.FullyConnected(layer(layer(data, 1), 2), num_hidden=num_classes, name="fc1")

SPEC = NetworkSpec("w", "Small", "", get_symbol, [])
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with the program and the network."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "network.py").write_text(NETWORK)
    return tmp_path


def environment(**more):
    return {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", **more}


def training(folder, data, prefix, *more, command="softmax", record="curve.json"):
    """The command line of a run of 20 batches."""
    record = str(folder / record) if "json" in record else record
    return [
        sys.executable, "-u", str(folder / "program.py"), record, command,
        "--data-dir", str(data), "--prefix", str(folder / prefix), "--target", "pairs",
        "--network", f"{folder / 'network.py'}:SPEC", "--emb-size", "16", "--ckpt", "2",
        "--per-batch-size", "6", "--verbose", "5", "--max-steps", "20", "--seed", "3",
        "--lr", "0.01", *more,
    ]  # fmt: skip


def launched(command, workers=2, servers=2, *flags):
    return [
        sys.executable, "-m", "src.training.launch",
        "-n", str(workers), "-s", str(servers), *flags, "--", *command, "--kvstore", "dist_sync",
    ]  # fmt: skip


def run(command, **more):
    done = subprocess.run(
        command, env=environment(**more), capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    return done


def curve(path):
    return np.array(json.loads(path.read_text()))


def assert_same(first, second):
    first, second = mx.nd.load(str(first)), mx.nd.load(str(second))
    assert first.keys() == second.keys()
    for name, array in first.items():
        if name != "numbers":
            np.testing.assert_array_equal(array.asnumpy(), second[name].asnumpy(), err_msg=name)


KINDS = {
    "dense": ["--loss-type", "4", "--margin-s", "16"],
    "sharded": ["--loss-type", "4", "--margin-s", "16", "--fc7-shard"],
    "sampled": ["--loss-type", "2", "--margin-s", "16", "--margin-m", "0.2", "--fc7-sample", "0.5"],
    "triplet": ["--triplet-bag-size", "30", "--triplet-alpha", "3"],
}


@pytest.mark.parametrize(
    "kind",
    ["dense", "sharded", *(pytest.param(k, marks=pytest.mark.slow) for k in list(KINDS)[2:])],
)
def test_two_workers_are_one_process_with_two_devices(learnable_set, folder, kind):
    """The losses, gradient norms, checkpoints and the final state are the same bits."""
    command = "triplet" if kind == "triplet" else "softmax"
    make = lambda *parts: training(folder, learnable_set, *parts, *KINDS[kind], command=command)  # noqa: E731
    run([*make("one"), "--devices", "cpu:0,cpu:1"])
    alone = curve(folder / "curve.json")
    done = run(launched([*make("two"), "--devices", "cpu:0"]))
    together = curve(folder / "curve.json")
    assert len(alone) == 20
    # the sums of a mean over several batches are in another order
    np.testing.assert_allclose(together[:, :-1], alone[:, :-1], rtol=1e-14)
    np.testing.assert_allclose(together[:, -1], alone[:, -1], rtol=1e-6)
    assert len(set(alone[:, 1])) == 20
    for number in (1, 4):
        assert_same(folder / f"one-000{number}.params", folder / f"two-000{number}.params")
    assert_same(state_path(folder / "one"), state_path(folder / "two"))
    # only the first worker prints and saves
    assert done.stdout.count("[20]Accuracy-Highest") == 1
    assert done.stderr.count("Saved checkpoint") == 4
    assert "error" not in done.stderr


@pytest.mark.slow
def test_four_devices_of_two_workers_are_the_devices_of_one(learnable_set, folder):
    """More shards than one worker has, more devices than one, and classes that do not divide."""
    more = [*KINDS["sharded"], "--per-batch-size", "3"]
    run([*training(folder, learnable_set, "one", *more), "--devices", "cpu:0,cpu:1,cpu:2"])
    alone = curve(folder / "curve.json")
    devices = [*training(folder, learnable_set, "three", *more), "--devices", "cpu:0"]
    run(launched(devices, 3, 1))
    np.testing.assert_allclose(curve(folder / "curve.json"), alone, rtol=1e-4)
    more[-1] = "2"
    run([*training(folder, learnable_set, "four", *more), "--devices", "cpu:0,cpu:1,cpu:2,cpu:3"])
    alone = curve(folder / "curve.json")
    run(
        launched([*training(folder, learnable_set, "2x2", *more), "--devices", "cpu:0,cpu:1"], 2, 1)
    )
    np.testing.assert_allclose(curve(folder / "curve.json"), alone, rtol=1e-3)


class Started:
    """A launched run whose output is read line by line."""

    def __init__(self, command):
        self.process = subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def wait_for(self, text):
        for line in self.process.stdout:
            if text in line:
                return
        pytest.fail(f"no line {text!r}: {self.process.stderr.read()}")

    def processes(self, *settings):
        """Numbers of the processes of this run whose environment has all the settings."""
        own = {f"{name}={value}" for name, value in settings}
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                variables = set((path / "environ").read_text().split("\0"))
                parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if own <= variables and int(parent) == self.process.pid:
                found.append(int(path.name))
        return found

    def end(self):
        """(exit status, stderr, seconds until then)"""
        began = time.monotonic()
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors, time.monotonic() - began


@pytest.fixture(scope="module")
def undisturbed(learnable_set, tmp_path_factory):
    """A function from a kind of classifier to the folder of a run of two workers, `whole`."""
    folders = {}

    def folder_of(kind):
        if kind not in folders:
            folder = folders[kind] = tmp_path_factory.mktemp(kind)
            (folder / "program.py").write_text(PROGRAM)
            (folder / "network.py").write_text(NETWORK)
            options = [*KINDS[kind], "--devices", "cpu:0"]
            run(launched(training(folder, learnable_set, "whole", *options)))
        return folders[kind]

    return folder_of


@pytest.mark.parametrize(
    ("kind", "role", "number"),
    [
        ("dense", "worker", 1),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [
                ("dense", "worker", 0),
                ("dense", "server", 0),
                ("dense", "server", 1),
                ("dense", "scheduler", 0),
                ("sharded", "worker", 1),
                ("sharded", "server", 0),
            ]
        ),
    ],
)
def test_a_killed_process_ends_the_run_which_continues(
    learnable_set, folder, undisturbed, kind, role, number
):
    whole = undisturbed(kind)
    options = [*KINDS[kind], "--devices", "cpu:0"]
    job = Started(launched(training(folder, learnable_set, "killed", *options, record="slow")))
    job.wait_for("[10]Accuracy-Highest")
    (victim,) = job.processes(("DMLC_ROLE", role), ("DMLC_TASK_ID", number))
    os.kill(victim, signal.SIGKILL)
    status, errors, seconds = job.end()
    name = role if role == "scheduler" else f"{role} {number}"
    assert f"launch: {name} on 127.0.0.1 was killed by SIGKILL" in errors
    assert status == 1
    assert seconds < MOST_SECONDS_TO_END
    assert not job.processes()
    done = run(launched([*training(folder, learnable_set, "killed", *options), "--resume"]))
    assert "resuming after batch 10" in done.stderr
    assert_same(folder / "killed-0004.params", whole / "whole-0004.params")
    assert_same(state_path(folder / "killed"), state_path(whole / "whole"))


@pytest.mark.parametrize("kind", ["dense", "triplet"])
def test_a_signal_stops_all_workers_after_the_same_batch(learnable_set, folder, kind):
    command = "triplet" if kind == "triplet" else "softmax"
    options = [*KINDS[kind], "--devices", "cpu:0", "--max-steps", "1000000"]
    line = training(folder, learnable_set, "stopped", *options, command=command)
    job = Started(launched(line))
    job.wait_for("[5]Accuracy-Highest")
    job.process.send_signal(signal.SIGTERM)
    status, errors, _ = job.end()
    assert status == INTERRUPTED
    (step,) = re.findall(r"stopped after batch (\d+); run the same command with --resume", errors)
    assert "launch:" not in errors
    done = run(launched([*line, "--max-steps", str(int(step) + 1), "--resume"]))
    assert f"resuming after batch {step}" in done.stderr


def test_no_process_outlives_its_launcher(learnable_set, folder):
    command = training(folder, learnable_set, "m", *KINDS["dense"], "--max-steps", "1000000")
    job = Started(launched([*command, "--devices", "cpu:0"]))
    job.wait_for("[5]Accuracy-Highest")
    job.process.kill()
    _, errors, seconds = job.end()  # when all have closed their outputs
    assert seconds < MOST_SECONDS_TO_END
    assert errors.count("error: the launcher of this process is gone") == 5


def test_a_worker_does_not_wait_forever(learnable_set, folder):
    command = training(folder, learnable_set, "m", *KINDS["dense"], record="stuck")
    job = Started(launched([*command, "--devices", "cpu:0", "--worker-timeout", "3"]))
    status, errors, _ = job.end()
    assert status == TIMED_OUT
    assert "error: worker 0 has waited 3 s for the other processes (--worker-timeout)" in errors
    assert f"launch: worker 0 on 127.0.0.1 ended with status {TIMED_OUT}" in errors


def test_machines_are_reached_with_ssh(learnable_set, folder):
    """A program in the place of ssh runs the command here, without this environment."""
    programs = folder / "bin"
    programs.mkdir()
    ssh = programs / "ssh"
    ssh.write_text(
        f'#!/bin/bash\necho "$@" >> {folder}/calls\n'
        'exec env -i HOME=$HOME /bin/sh -c "${@: -1}"\n'
    )
    ssh.chmod(0o755)
    (folder / "hosts").write_text("# two machines\nme@127.0.0.2\n\n127.0.0.3  # the other\n")
    command = training(folder, learnable_set, "m", *KINDS["dense"], "--devices", "cpu:0")
    flags = ["-H", str(folder / "hosts"), "-p", "9" + str(os.getpid())[-3:].rjust(3, "1")]
    done = run(
        launched([*command, "--max-steps", "5"], 2, 2, *flags),
        PATH=f"{programs}:{os.environ['PATH']}",
    )
    assert "[5]Accuracy-Highest" in done.stdout
    calls = (folder / "calls").read_text().splitlines()
    assert len(calls) == 5
    workers = [line for line in calls if "DMLC_ROLE=worker" in line]
    assert ["me@127.0.0.2" in line for line in sorted(workers, key=lambda c: "TASK_ID=1" in c)] == [
        True,
        False,
    ]
    assert all(f"cd {os.getcwd()} && exec env" in line for line in calls)


def test_workers_with_different_data_sets_are_refused(learnable_set, folder):
    other = folder / "other"
    other.mkdir()
    for name in ("train.rec", "train.idx"):
        (other / name).symlink_to(learnable_set / name)
    (other / "property").write_text("9,112,112\n")
    command = training(folder, "DATA", "m", *KINDS["dense"], "--devices", "cpu:0")
    script = " ".join(command).replace(
        "DATA", f'$([ "$DMLC_TASK_ID" = 1 ] && echo {other} || echo {learnable_set})'
    )
    job = Started(launched(["bash", "-c", script + ' "$@"', "bash"]))
    status, errors, _ = job.end()
    assert status == WRONG_INPUT
    assert "property or train.idx in --data-dir of worker 1 is not that of the first one" in errors
