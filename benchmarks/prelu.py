"""How much faster MobileFaceNet runs on the CPU with its PReLU rewritten.

    python benchmarks/prelu.py

One thread is the default: with several, each waits for the slowest, and another program on the
machine distorts the numbers.
"""

import os
import sys

import harness
import numpy as np

from src.common.mxnet_backend import mx
from src.graphs.prelu import rewrite_prelu
from src.losses.arcface import ArcFace
from src.losses.base import ClassWeights
from src.symbols.table import build_embedding, initializer

CLASSES = 200


def bound_module(symbol, batch_size, for_training):
    """A Module with random parameters of seed 1; they are the same with a rewritten graph."""
    label = [("softmax_label", (batch_size,))] if for_training else None
    module = mx.mod.Module(symbol, label_names=["softmax_label"] if for_training else None)
    module.bind([("data", (batch_size, 3, 112, 112))], label, for_training=for_training)
    mx.random.seed(1)
    module.init_params(initializer("y1"))
    return module


def training(batch_size, rewritten):
    """Faces/s through forward, backward and update of y1 with ArcFace."""
    embedding = build_embedding("y1", 128, version_output="GDC")
    symbol = ArcFace().head(embedding, ClassWeights(CLASSES, 128))
    if rewritten:
        symbol = rewrite_prelu(symbol, for_training=True)
    module = bound_module(symbol, batch_size, for_training=True)
    return harness.training_rate(module, batch_size, CLASSES, 6 if rewritten else 2)


def inference(batch_size, rewritten):
    """Faces/s through y1 up to its embedding."""
    symbol = build_embedding("y1", 128, version_output="GDC")
    if rewritten:
        symbol = rewrite_prelu(symbol, for_training=False)
    else:
        # With this backend the stock graph fails at the second forward pass.
        os.environ["MXNET_SUBGRAPH_BACKEND"] = "NONE"
    module = bound_module(symbol, batch_size, for_training=False)
    images = np.random.RandomState(0).randint(0, 256, (batch_size, 3, 112, 112))
    batch = mx.io.DataBatch([mx.nd.array(images)])

    def run():
        module.forward(batch, is_train=False)
        module.get_outputs()[0].asnumpy()

    return {"faces/s": batch_size / harness.shortest(run, 8)}


CASES = [
    harness.Case("training, stock graph", lambda args: training(args.batch_size, False)),
    harness.Case(
        "training, PReLU rewritten",
        lambda args: training(args.batch_size, True),
        base="training, stock graph",
        at_least=5.0,
    ),
    harness.Case("inference, stock graph", lambda args: inference(args.batch_size, False)),
    harness.Case(
        "inference, PReLU rewritten",
        lambda args: inference(args.batch_size, True),
        base="inference, stock graph",
        at_least=2.3,
    ),
]


def add_arguments(parser):
    """The flags of this benchmark."""
    parser.add_argument("--batch-size", type=int, default=32, help="faces in a batch")


if __name__ == "__main__":
    sys.exit(harness.main(__file__, __doc__, CASES, add_arguments=add_arguments))
