"""Symbols against those of the 2018 scripts: `reference/symbols.json.gz`.

150 configurations that 2018 built: names, order and shapes are compared for all; attributes and the
function for those whose graph is in the reference, the larger ones in slow tests.
"""

import ast
import collections
import functools
import gzip
import json
import re

import numpy as np
import pytest

from src.checkpoints.parameters import adopt_parameters
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.losses.base import ClassWeights
from src.losses.registry import create
from src.symbols.table import build_embedding, letters

CLASSES = 200
DATA = (2, 3, 112, 112)
LETTERS = set("rmixdpnsy")
HEAD_FLAGS = ("margin_a", "margin_b", "margin_m", "margin_s", "easy_margin", "fc7_no_bias")
# What 2018 built but could not bind: head Z with an embedding of 512, and GNAP of 1024 channels.
UNBOUND = {"r50_voZ", "m1_voGNAP"}
# What 2018 could not build but works here: its SphereFace needed an operator of another MXNet.
POSSIBLE_NOW = {"y1_loss1"}
# Attributes that change what an operator computes, with their defaults in MXNet 1.3 and 1.9 alike.
ATTRIBUTES = {
    "Convolution": {
        "kernel": None,
        "num_filter": None,
        "stride": "(1, 1)",
        "pad": "(0, 0)",
        "dilate": "(1, 1)",
        "num_group": "1",
        "no_bias": "False",
    },
    "BatchNorm": {
        "eps": "1e-3",
        "momentum": "0.9",
        "fix_gamma": "True",
        "use_global_stats": "False",
        "axis": "1",
    },
    "FullyConnected": {"num_hidden": None, "no_bias": "False", "flatten": "True"},
    "LeakyReLU": {"act_type": "leaky"},
    "Activation": {"act_type": None},
    "Dropout": {"p": "0.5", "mode": "training"},
    "Pooling": {
        "kernel": None,
        "pool_type": "max",
        "stride": "(1, 1)",
        "pad": "(0, 0)",
        "global_pool": "False",
        "pooling_convention": "valid",
        "count_include_pad": "True",
    },
}
INITIALISERS = {"zero": "zeros", "one": "ones"}  # two names of the same initialiser


@pytest.fixture(scope="module")
def symbols(shared):
    with gzip.open(shared / "reference" / "symbols.json.gz") as file:
        return json.load(file)


@pytest.fixture(scope="module")
def built(symbols):
    """The configurations that 2018 could train, by name."""
    return {k: v for k, v in symbols["built"].items() if v["output_shapes"] is not None}


@functools.lru_cache(maxsize=4)
def cached_embedding(network, size, flags):
    return build_embedding(network, size, **dict(flags))


def build(record):
    """The training symbol of a configuration."""
    flags = dict(record["kw"])
    size = flags.pop("emb", 512)
    head = {name: flags.pop(name) for name in HEAD_FLAGS if name in flags}
    embedding = cached_embedding(record["network"], size, tuple(sorted(flags.items())))
    assert embedding.list_outputs() == ["fc1_output"]
    return create(record["loss_type"], head).head(embedding, ClassWeights(CLASSES, size))


def test_the_reference_is_complete(symbols, built):
    assert len(symbols["built"]) == 150
    assert set(symbols["built"]) - set(built) == UNBOUND
    assert len(symbols["refused_in_2018"]) == 32
    assert set(letters()) == LETTERS == {v["network"][0] for v in built.values()}


def named_shapes(names, shapes):
    return [[name, list(shape)] for name, shape in zip(names, shapes, strict=True)]


@pytest.mark.parametrize("letter", sorted(LETTERS))
def test_names_order_and_shapes_are_those_of_2018(built, letter):
    for name, record in built.items():
        if record["network"][0] != letter:
            continue
        symbol = build(record)
        arguments, outputs, auxiliary = symbol.infer_shape(data=DATA)
        assert named_shapes(symbol.list_arguments(), arguments) == record["arguments"], name
        states = named_shapes(symbol.list_auxiliary_states(), auxiliary)
        assert states == record["auxiliary"], name
        assert symbol.list_outputs() == record["outputs"], name
        assert [list(shape) for shape in outputs] == record["output_shapes"], name
        parameters = sum(
            int(np.prod(shape))
            for key, shape in zip(symbol.list_arguments(), arguments, strict=True)
            if key not in ("data", "softmax_label")
        )
        assert parameters == record["parameters"], name


def test_what_2018_could_not_bind_or_build_raises_an_error(symbols):
    rejected = {**symbols["refused_in_2018"], **{k: symbols["built"][k] for k in UNBOUND}}
    assert len(rejected) == 34
    for name, record in rejected.items():
        if name in POSSIBLE_NOW:
            assert build(record).list_outputs() == ["blockgrad0_output", "softmax_output"]
            continue
        wanted = (
            r"expected one of \w|needs --version|accepts 0, 1|--emb-size|another --version-output"
        )
        with pytest.raises(InputError, match=wanted):
            build(record)


@functools.cache
def value_of(text):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):  # a word
        return text


def variable_attributes(attributes):
    """A variable's initialiser and its multipliers of learning rate and decay."""
    kept = {key: float(text) for key, text in attributes.items() if key.endswith("_mult__")}
    if "__init__" in attributes:
        name, settings = attributes["__init__"], {}
        if name.startswith("["):
            name, settings = json.loads(name)
        kept["__init__"] = INITIALISERS.get(name.lower(), name.lower()), settings
    return kept


def operators(nodes):
    """({first parameter: operator with attributes}, Counter of operators without parameters).

    Sorted by parameters, because most nodes without any were named automatically in 2018.

    Parameters
    ----------
    nodes
        Lists of operator, name, attributes, names of inputs.
    """
    variables = {name for operator, name, _, _ in nodes if operator == "null"}
    with_parameters, without = {}, collections.Counter()
    for operator, _, attributes, inputs in nodes:
        if operator not in ATTRIBUTES:
            continue
        settings = {**ATTRIBUTES[operator], **attributes}
        settings = tuple((key, value_of(settings[key])) for key in ATTRIBUTES[operator])
        parameters = [name for name in inputs[1:] if name in variables]
        if parameters:
            with_parameters[parameters[0]] = operator, settings
        else:
            without[operator, settings] += 1
    return with_parameters, without


def nodes_of(symbol):
    """The nodes of a symbol, in the form of the reference."""
    nodes = json.loads(symbol.tojson())["nodes"]
    return [
        [n["op"], n["name"], n.get("attrs", {}), [nodes[i]["name"] for i, *_ in n["inputs"]]]
        for n in nodes
    ]


@pytest.mark.parametrize("letter", sorted(LETTERS))
def test_attributes_are_those_of_2018(built, letter):
    """Of operators with parameters, activations, poolings, dropouts, and variables."""
    compared = 0
    for name, record in built.items():
        if "nodes" not in record or record["network"][0] != letter:
            continue
        ours = nodes_of(build(record))
        expected, expected_others = operators(record["nodes"])
        got, got_others = operators(ours)
        assert got == expected, name
        if record["loss_type"] == 0:  # margins are built from other operators than in 2018
            assert got_others == expected_others, name
        variables = [
            {n[1]: variable_attributes(n[2]) for n in nodes if n[0] == "null"}
            for nodes in (ours, record["nodes"])
        ]
        assert variables[0] == variables[1], name
        compared += 1
    assert compared


def loaded_from_nodes(record):
    """2018's own graph, loaded by this MXNet."""
    index = {name: i for i, (_, name, _, _) in enumerate(record["nodes"])}

    def entry(source):
        """[node, output, 0] of 'name' or 'name:output'."""
        match = re.fullmatch(r"(.+):(\d+)", source)
        return [index[match[1]], int(match[2]), 0] if match else [index[source], 0, 0]

    nodes = [
        {"op": operator, "name": name, "attrs": attributes, "inputs": list(map(entry, inputs))}
        for operator, name, attributes, inputs in record["nodes"]
    ]
    graph = {
        "nodes": nodes,
        "arg_nodes": [i for i, node in enumerate(nodes) if node["op"] == "null"],
        "heads": [[index[output.removesuffix("_output")], 0, 0] for output in record["outputs"]],
        "attrs": {"mxnet_version": ["int", 10901]},
    }
    return mx.sym.load_json(json.dumps(graph))


def random_parameters(record, seed=5):
    """Arrays for every input: weights and statistics that keep the scale of the activations."""
    rng = np.random.default_rng(seed)  # float32, three times as fast as RandomState
    # In these networks the signal would otherwise vanish after many ReLUs.
    gain = 1.25 if re.match("m2|n|d", record["network"]) else 1.0
    arrays = {}
    for name, shape in record["arguments"] + record["auxiliary"]:
        if name == "data":
            value = rng.integers(0, 256, shape)
        elif name == "softmax_label":
            value = rng.integers(0, CLASSES, shape)
        elif name.endswith("_weight"):
            value = rng.standard_normal(shape, np.float32) * gain / np.sqrt(np.prod(shape[1:]))
        elif name.endswith(("_gamma", "_var")):
            value = rng.uniform(0.5, 1.0, shape)
        else:
            value = rng.standard_normal(shape, np.float32) * 0.1
        arrays[name] = mx.nd.array(value)
    return arrays


def forward(symbol, arrays):
    executor = symbol.bind(
        mx.cpu(),
        {name: arrays[name] for name in symbol.list_arguments()},
        aux_states={name: arrays[name] for name in symbol.list_auxiliary_states()},
        grad_req="null",
    )
    return [output.asnumpy() for output in executor.forward(is_train=False)]


# All losses and both heads of y, and each version of every other family once. The rest is slow.
FAST = (
    *("y1_voGDC", "y1_voGNAP", "y1_loss2", "y1_loss4", "y1_loss4_easy", "y1_loss5"),
    *("y1_loss5_combined", "y1_loss5_cosface", "y1_loss5_plain", "y1_loss0_nobias"),
    *("r18_loss0", "r50_vi0", "r50_vu1", "r50_vu2", "r50_se1", "r50_voD"),
    *("m1_loss0", "m1_vi0", "m1_voGDC", "m2_loss0", "d121_vi0", "d121_loss0", "s20_loss0"),
    *("p92_vi0", "i2_vi0", "n1_loss0"),
)
SLOW = (
    *("r34_loss0", "r50_loss0", "r100_loss0", "r101_loss0", "r152_loss0", "r200_loss0"),
    *("r269_loss0", "r50_vi1", "r50_voB", "r50_voE", "r50_voG", "r50_voH", "r50_voJ", "r50_voK"),
    *("r50_voA", "r50_voC", "r50_voF", "r50_voGNAP", "r50_voGDC"),
    *("r50_relu", "r50_vu0", "r50_vu3", "y1_loss0", "y2_loss0"),
    *("m1_se1", "m1_voE", "m1_voF", "d161_loss0", "d169_loss0", "d201_loss0"),
    *("s36_loss0", "s64_loss0", "p92_loss0", "p107_loss0"),
    *("i2_loss0", "i3_loss0", "i4_loss0", "n4_loss0", "x1_loss0", "x1_vi0", "x2_loss0"),
)


@pytest.mark.parametrize(
    "name", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_function_is_that_of_2018(built, name):
    record = built[name]
    arrays = random_parameters(record)
    expected = forward(loaded_from_nodes(record), arrays)
    # Two photos give different embeddings: the signal has not vanished.
    embeddings = expected[record["outputs"].index("blockgrad0_output")]
    assert np.abs(embeddings[0] - embeddings[1]).max() > 0.01 * np.abs(embeddings).max()
    got = forward(build(record), arrays)
    for output, wanted, value in zip(record["outputs"], expected, got, strict=True):
        if output == "softmax_output" and record["loss_type"] != 0:
            # With a margin the own class's probability is tiny, so logarithms are compared.
            wanted, value = np.log(wanted), np.log(value)
        np.testing.assert_allclose(
            value, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max(), err_msg=output
        )


def test_every_graph_of_2018_is_compared(built):
    assert {name for name, record in built.items() if "nodes" in record} == {*FAST, *SLOW}


def test_published_model_fits(shared):
    """The published MobileFaceNet: same arguments in the same order and shape, same function."""
    prefix = str(shared / "pretrained" / "model-y1-test2" / "model")
    symbol, arguments, auxiliary = mx.model.load_checkpoint(prefix, 0)
    published = symbol.get_internals()["fc1_output"]
    ours = build_embedding("y1", 128, version_output="GDC")
    # The weight of its layer pre_fc1 has another name.
    names = [name.replace("pre_fc1_weight", "fc1_weight") for name in ours.list_arguments()]
    assert names == published.list_arguments()
    assert ours.list_auxiliary_states() == published.list_auxiliary_states()

    data = {"data": mx.nd.array(np.random.RandomState(0).randint(0, 256, (2, 3, 112, 112)))}
    (expected,) = forward(published, {**data, **arguments, **auxiliary})
    adopted = adopt_parameters(ours, arguments)
    (got,) = forward(ours, {**data, **adopted, **auxiliary})
    np.testing.assert_allclose(got, expected, atol=1e-5)
