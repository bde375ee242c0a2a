"""Prints the largest error of each slope gradient of networks, as JSON; run by the tests.

    python slope_gradients.py FORM NETWORK,HEAD …

FORM is `stock`, `cpu` or `gpu`: the graph as it is, or as it is bound for training. The reference
is the same network with x where x > 0, else slope·x. Everything runs on the CPU; with
MXNET_MKLDNN_ENABLED=0 memory is shared between gradients as on a GPU.
"""

import json
import sys

import numpy as np

from src.common.mxnet_backend import mx
from src.graphs.bound import BoundGraph
from src.graphs.plain_concat import plain_concatenations
from src.graphs.prelu import is_prelu
from src.graphs.writer import rewrite_nodes, rewrite_symbol
from src.symbols.table import build_embedding

BATCH = 2


def plain_formula(graph):
    """Each PReLU as the definition says."""

    def replace(writer, index, node, inputs):
        if not is_prelu(node):
            return None
        data, slope = inputs
        name = node["name"]
        axes = [("expand_dims", "0")]
        if not vectors(node):
            axes += [("expand_dims", "2"), ("expand_dims", "3")]
        for number, (op, axis) in enumerate(axes):
            slope = writer.add(op, f"{name}_reference{number}", [slope], axis=axis)
        falls = writer.add("broadcast_mul", f"{name}_falls", [data, slope])
        positive = writer.add("_greater_scalar", f"{name}_positive", [data], scalar="0")
        return writer.add("where", name, [positive, data, falls])

    return rewrite_nodes(graph, replace)


def vectors(node):
    """Whether a PReLU follows a fully connected layer; only heads have one."""
    return node["name"] == "fc1"


def without_dropout(graph):
    """The same network without random numbers."""

    def replace(writer, index, node, inputs):
        return inputs[0] if node["op"] == "Dropout" else None

    return rewrite_nodes(graph, replace)


def slope_names(symbol):
    """Names of the slopes of all PReLUs."""
    nodes = json.loads(symbol.tojson())["nodes"]
    return [nodes[node["inputs"][1][0]]["name"] for node in nodes if is_prelu(node)]


def values(symbol):
    """Parameters by name; slopes around 0.25, where the error of MXNet's PReLU is large."""
    random = np.random.RandomState(0)
    shapes, _, states = symbol.infer_shape(data=(BATCH, 3, 112, 112))
    names = [*symbol.list_arguments(), *symbol.list_auxiliary_states()]
    slopes = set(slope_names(symbol))
    found = {}
    for name, shape in zip(names, shapes + states, strict=True):
        if name in slopes:
            value = random.uniform(0.2, 0.3, shape)
        elif name.endswith("_weight"):
            value = random.randn(*shape) * np.sqrt(2 / np.prod(shape[1:]))
        elif name.endswith(("_gamma", "_var")):
            value = np.ones(shape)
        else:
            value = random.randn(*shape) * 0.1
        found[name] = mx.nd.array(value)
    return found


def gradients(graph, original, wanted):
    """Gradients of the wanted parameters, given a `BoundGraph`-like object and the original's."""
    arguments, states = graph.to_bound(
        {n: original[n] for n in original if not n.endswith(("_mean", "_var"))},
        {n: original[n] for n in original if n.endswith(("_mean", "_var"))},
    )
    symbol = graph.symbol
    executor = symbol.simple_bind(mx.cpu(), data=(BATCH, 3, 112, 112))
    executor.copy_params_from(arguments, states, allow_extra_params=True)
    output = executor.forward(is_train=True)[0]
    executor.backward(mx.nd.array(np.random.RandomState(1).randn(*output.shape)))
    found = {n: g for n, g in executor.grad_dict.items() if g is not None}
    return {name: graph.split(found)[name].asnumpy() for name in wanted}


class Unchanged(BoundGraph):
    """A symbol bound as it is."""

    def __init__(self, symbol):
        self.symbol, self.parts = symbol, {}


def errors(network, head, form):
    """Largest relative error of each slope gradient, by name."""
    symbol = build_embedding(network, 64, version_output=head)
    symbol = rewrite_symbol(without_dropout, symbol)
    parameters, wanted = values(symbol), slope_names(symbol)
    bound = (
        Unchanged(symbol)
        if form == "stock"
        else BoundGraph(symbol, on_cpu=form == "cpu", for_training=True)
    )
    reference = Unchanged(rewrite_symbol(plain_formula, plain_concatenations(symbol)))
    shaped = json.loads(reference.symbol.tojson())
    for node in shaped["nodes"]:
        if node["name"] in wanted:
            node.setdefault("attrs", {})["__shape__"] = str(parameters[node["name"]].shape)
    reference.symbol = mx.sym.load_json(json.dumps(shaped))
    found, expected = (gradients(g, parameters, wanted) for g in (bound, reference))
    return {
        name: float(np.abs(found[name] - expected[name]).max() / np.abs(expected[name]).max())
        for name in wanted
    }


if __name__ == "__main__":
    form, *networks = sys.argv[1:]
    print(json.dumps({name: errors(*name.split(","), form) for name in networks}))
