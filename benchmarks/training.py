"""Training MobileFaceNet on the CPU: against commit 3e2291c, and against relu instead of PReLU.

    python benchmarks/training.py

relu is the bound: oneDNN fuses it with the batch normalisation before it. The aims are 1.1 times
the commit and 0.7 of the bound.
"""

import functools
import json
import sys

import harness

COMMIT = "3e2291c"
CLASSES, SIZE = 200, 128
OLD, NEW, BOUND = f"commit {COMMIT}", "this checkout", "with relu (the bound)"


def old_symbol():
    """The graph that the commit bound."""
    from src.symbols.cpu_graph import rewrite_prelu
    from src.training.heads import classification_head
    from src.training.networks import build_embedding, initializer

    symbol = classification_head(build_embedding("y1", SIZE, version_output="GDC"), CLASSES)
    return rewrite_prelu(symbol, for_training=True), initializer("y1")


def with_relu(embedding):
    """The network with relu instead of PReLU."""
    from src.common.mxnet_backend import mx

    graph = json.loads(embedding.tojson())
    for node in graph["nodes"]:
        if node["op"] == "LeakyReLU":
            node.update(op="Activation", attrs={"act_type": "relu"}, inputs=node["inputs"][:1])
    return mx.sym.load_json(json.dumps(graph))


def new_symbol(change=None):
    """The graph that is bound today, of the network or of a changed one."""
    from src.graphs.bound import BoundGraph
    from src.losses.arcface import ArcFace
    from src.losses.base import ClassWeights
    from src.symbols.table import build_embedding, initializer

    embedding = build_embedding("y1", SIZE, version_output="GDC")
    embedding = change(embedding) if change else embedding
    weights = ClassWeights(CLASSES, SIZE)
    head = functools.partial(ArcFace().head, weights=weights, trained=True)
    return BoundGraph(embedding, True, True, head).symbol, initializer("y1")


def measure(make_symbol, args):
    """Faces/s through forward, backward and update."""
    symbol, initializer = make_symbol()
    from src.common.mxnet_backend import mx

    size = args.batch_size
    module = mx.mod.Module(symbol, label_names=["softmax_label"])
    module.bind([("data", (size, 3, 112, 112))], [("softmax_label", (size,))])
    mx.random.seed(1)
    module.init_params(initializer)
    return harness.training_rate(module, size, CLASSES, 6)


CASES = [
    harness.Case(OLD, functools.partial(measure, old_symbol), commit=COMMIT),
    harness.Case(BOUND, functools.partial(measure, functools.partial(new_symbol, with_relu))),
    harness.Case(
        NEW, functools.partial(measure, new_symbol), base=OLD,
        at_least=1.1,
    ),
    harness.Case(
        f"{NEW} again", functools.partial(measure, new_symbol),
        base=BOUND, at_least=0.7,
    ),
]  # fmt: skip


def add_arguments(parser):
    """The flags of this benchmark."""
    parser.add_argument("--batch-size", type=int, default=32, help="faces in a batch")


if __name__ == "__main__":
    sys.exit(harness.main(__file__, __doc__, CASES, add_arguments=add_arguments, rounds=3))
