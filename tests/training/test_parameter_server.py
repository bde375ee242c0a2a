"""The schedule on a parameter server: one scheduler, one server and one worker on this machine."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from src.common.mxnet_backend import mx

# Any import of the project serves, as in a distributed run in which all processes run one script.
SERVER = "import src.training.trainer; print('never reached')"

# A softmax on the pixels; prints bias and weight of a class after each step.
WORKER = """
import json
import sys
from src.common.mxnet_backend import mx
from src.losses.base import ClassWeights
from src.losses.softmax import Softmax
from src.training.classifiers import DenseClassifier
from src.training.optimizer import make_optimizer
from src.training.schedule import Schedule
from src.training.trainer import Trainer

classifier = DenseClassifier(Softmax(), ClassWeights(3, 12))
trainer = Trainer(mx.sym.Flatten(mx.sym.var("data"), name="fc1"), classifier, [mx.cpu()])
given = {"fc7_weight": mx.nd.ones((3, 12)), "fc7_bias": mx.nd.zeros(3)}
trainer.bind(4, (3, 2, 2), mx.init.Zero(), given, {})
schedule = Schedule(1.0, [2, 3], None, 1, delay=1)
# Noise that is too small to see: the server has to know that class, too.
factors = {"fc7_weight": 3.0}, {"fc7_weight": 10.0}
trainer.init_optimizer(make_optimizer(schedule, 0.9, 0.01, 1, 1e-9, *factors), sys.argv[1])
seen = []
for number in range(1, 6):
    trainer.step(mx.io.DataBatch([mx.nd.ones((4, 3, 2, 2))], [mx.nd.array([0, 1, 2, 0])]), number)
    arrays, _ = trainer.parameters()
    seen.append([array.asnumpy().ravel()[0].item() for array in arrays.values()])
print(json.dumps(seen))
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def start(role, port, *command):
    environment = {
        **os.environ,
        "DMLC_ROLE": role,
        "DMLC_PS_ROOT_URI": "127.0.0.1",
        "DMLC_PS_ROOT_PORT": port,
        "DMLC_NUM_SERVER": "1",
        "DMLC_NUM_WORKER": "1",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(
    not mx.runtime.Features().is_enabled("DIST_KVSTORE"),
    reason="this MXNet has no distributed key-value store",
)
def test_the_rate_falls_on_the_server():
    port = free_port()
    alone = subprocess.run(
        [sys.executable, "-c", WORKER, "local"], capture_output=True, text=True, check=True
    )
    expected = np.array(json.loads(alone.stdout.splitlines()[-1]))
    others = [start(role, port, SERVER) for role in ("scheduler", "server")]
    worker = start("worker", port, WORKER, "dist_sync")
    try:
        out, err = worker.communicate(timeout=120)
        assert worker.returncode == 0, err
        np.testing.assert_allclose(json.loads(out.splitlines()[-1]), expected, atol=1e-6)
        for process in others:
            assert process.wait(timeout=60) == 0
    finally:
        for process in (worker, *others):
            process.kill()
            out, err = process.communicate()
            assert "never reached" not in out
            assert "Traceback" not in err
