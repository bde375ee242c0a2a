"""How much faster MobileFaceNet runs on the CPU with its PReLU rewritten, against stated limits.

    python benchmarks/prelu.py

Each line of the table is measured in a process of its own, in one run, stock and rewritten by
turns; the exit status is 1 where a ratio is below its limit. On one thread unless told otherwise:
with several, each waits for the slowest, and another program on the machine spoils the figures.
"""

import argparse
import json
import os
import subprocess
import sys
import time

TRAINING_LIMIT = 5.0
INFERENCE_LIMIT = 2.3
# Name of a measurement -> what is measured; the order is that of the table.
MEASUREMENTS = {
    "training stock": "training, stock graph",
    "training rewritten": "training, PReLU rewritten",
    "inference stock": "inference, stock graph",
    "inference rewritten": "inference, PReLU rewritten",
}
COMPARISONS = (
    ("training rewritten", "training stock", TRAINING_LIMIT),
    ("inference rewritten", "inference stock", INFERENCE_LIMIT),
)


def parse_args(argv=None):
    """The command line of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch-size", type=int, default=32, help="photos in a batch")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each; the best one counts")
    parser.add_argument("--training-threads", type=int, default=1, help="OpenMP threads")
    parser.add_argument("--inference-threads", type=int, default=1, help="OpenMP threads")
    parser.add_argument("--measure", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def bound_module(symbol, batch_size, for_training):
    """A Module with the parameters that seed 1 draws; the rewriting does not change them."""
    from src.common.mxnet_backend import mx
    from src.training.networks import initializer

    label = [("softmax_label", (batch_size,))] if for_training else None
    module = mx.mod.Module(symbol, label_names=["softmax_label"] if for_training else None)
    module.bind([("data", (batch_size, 3, 112, 112))], label, for_training=for_training)
    mx.random.seed(1)
    module.init_params(initializer("y1"))
    return module


def training_speed(rewritten, batch_size):
    """Photos a second through forward, backward and update of y1 with ArcFace, 200 classes."""
    import numpy as np

    from src.common.mxnet_backend import mx
    from src.symbols.cpu_graph import rewrite_prelu
    from src.training.heads import classification_head
    from src.training.networks import build_embedding

    symbol = classification_head(build_embedding("y1", 128, version_output="GDC"), 200)
    if rewritten:
        symbol = rewrite_prelu(symbol, for_training=True)
    module = bound_module(symbol, batch_size, for_training=True)
    settings = {"learning_rate": 0.001, "momentum": 0.9, "rescale_grad": 1 / batch_size}
    module.init_optimizer(optimizer="sgd", optimizer_params=settings)
    rng = np.random.RandomState(0)
    images = mx.nd.array(rng.randint(0, 256, (batch_size, 3, 112, 112)))
    batch = mx.io.DataBatch([images], [mx.nd.array(rng.randint(0, 200, batch_size))])

    def step():
        module.forward_backward(batch)
        module.update()
        mx.nd.waitall()

    return batch_size / shortest(step, 2 if not rewritten else 6)


def inference_speed(kind, batch_size):
    """Photos a second through y1 up to its embedding."""
    import numpy as np

    from src.common.mxnet_backend import mx
    from src.symbols.cpu_graph import rewrite_prelu
    from src.training.networks import build_embedding

    symbol = build_embedding("y1", 128, version_output="GDC")
    if kind == "stock":
        # With the backend the stock graph fails at the second forward.
        os.environ["MXNET_SUBGRAPH_BACKEND"] = "NONE"
    else:
        symbol = rewrite_prelu(symbol, for_training=False)
    module = bound_module(symbol, batch_size, for_training=False)
    images = np.random.RandomState(0).randint(0, 256, (batch_size, 3, 112, 112))
    photos = mx.io.DataBatch([mx.nd.array(images)])

    def run():
        module.forward(photos, is_train=False)
        module.get_outputs()[0].asnumpy()

    return batch_size / shortest(run, 8)


def shortest(function, times):
    """Seconds of the fastest of some calls, after one that is not timed."""
    function()
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def measure(name, batch_size):
    """Photos a second of one entry of MEASUREMENTS, in this process."""
    purpose, kind = name.split()
    if purpose == "training":
        return training_speed(kind == "rewritten", batch_size)
    return inference_speed(kind, batch_size)


def measure_apart(name, batch_size, threads):
    """The same in a process of its own, with so many threads."""
    command = [sys.executable, __file__, "--measure", name, "--batch-size", str(batch_size)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return json.loads(done.stdout)


def print_table(speeds, threads):
    """The speeds, the ratios and their limits; returns whether each ratio reaches its limit."""
    limits = {name: (base, limit) for name, base, limit in COMPARISONS}
    print(f"{'':46}{'threads':>8}{'photos/s':>10}{'ratio':>8}{'limit':>8}")
    reached = True
    for name, title in MEASUREMENTS.items():
        line = f"{title:46}{threads[name]:>8}{speeds[name]:>10.1f}"
        if name in limits:
            base, limit = limits[name]
            ratio = speeds[name] / speeds[base]
            reached = reached and ratio >= limit
            line += f"{ratio:>8.2f}{limit:>8.1f}{'' if ratio >= limit else '  BELOW'}"
        print(line)
    return reached


def main(args=None):
    """Runs the benchmark; returns the exit status."""
    args = parse_args(args)
    if args.measure:
        print(json.dumps(measure(args.measure, args.batch_size)))
        return 0
    threads = {
        name: args.training_threads if name.startswith("training") else args.inference_threads
        for name in MEASUREMENTS
    }
    speeds = dict.fromkeys(MEASUREMENTS, 0.0)
    for _ in range(args.rounds):
        for name in MEASUREMENTS:
            speed = measure_apart(name, args.batch_size, threads[name])
            speeds[name] = max(speeds[name], speed)
    return 0 if print_table(speeds, threads) else 1


if __name__ == "__main__":
    sys.exit(main())
