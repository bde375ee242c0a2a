"""Symbols against those of the 2018 scripts: `reference/symbols.json.gz`."""

import gzip
import json

import numpy as np
import pytest

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.training.heads import classification_head
from src.training.networks import BUILDERS, adopt_parameters, build_embedding

CLASSES = 200
DATA = (2, 3, 112, 112)
HEAD_FLAGS = ("margin_a", "margin_b", "margin_m", "margin_s", "easy_margin", "fc7_no_bias")


@pytest.fixture(scope="module")
def symbols(shared):
    with gzip.open(shared / "reference" / "symbols.json.gz") as file:
        return json.load(file)


@pytest.fixture(scope="module")
def built(symbols):
    """The configurations of the networks that are here, by name."""
    return {k: v for k, v in symbols["built"].items() if v["network"][0] in BUILDERS}


def build(record):
    """The training symbol of a configuration."""
    flags = dict(record["kw"])
    size = flags.pop("emb", 512)
    head = {name: flags.pop(name) for name in HEAD_FLAGS if name in flags}
    embedding = build_embedding(record["network"], size, **flags)
    assert embedding.list_outputs() == ["fc1_output"]
    return classification_head(embedding, CLASSES, record["loss_type"], **head)


def named_shapes(names, shapes):
    return [[name, list(shape)] for name, shape in zip(names, shapes, strict=True)]


def test_names_order_and_shapes_are_those_of_2018(built):
    assert len(built) == 68
    for name, record in built.items():
        if record["output_shapes"] is None:  # 2018 built it, and could not bind it
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
            for key, shape in record["arguments"]
            if key not in ("data", "softmax_label")
        )
        assert parameters == record["parameters"], name


def test_what_2018_could_not_bind_or_build_is_refused(symbols, built):
    unbound = [record for record in built.values() if record["output_shapes"] is None]
    assert [record["kw"] for record in unbound] == [{"version_output": "Z"}]
    refused = [r for r in symbols["refused_in_2018"].values() if r["network"][0] in BUILDERS]
    assert len(refused) == 24
    for record in unbound + refused:
        with pytest.raises(InputError, match=r"expected one of|needs --version|has 0|--emb-size"):
            build(record)


def test_multipliers_are_those_of_2018(built):
    for name, record in built.items():
        if "nodes" not in record or record["output_shapes"] is None:
            continue
        wanted = {
            node: {key: float(value) for key, value in attributes.items() if "_mult__" in key}
            for operator, node, attributes, _ in record["nodes"]
            if operator == "null" and node.startswith("fc7")
        }
        attributes = build(record).attr_dict()
        for node, multipliers in wanted.items():
            got = {k: float(v) for k, v in attributes[node].items() if "_mult__" in k}
            assert got == multipliers, (name, node)


def loaded_from_nodes(record):
    """2018's own graph, read by this MXNet."""
    index = {name: i for i, (_, name, _, _) in enumerate(record["nodes"])}
    nodes = [
        {
            "op": operator,
            "name": name,
            "attrs": attributes,
            "inputs": [[index[source], 0, 0] for source in inputs],
        }
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
    """Arrays for every input: weights that keep the signal's size, statistics near those of it."""
    rng = np.random.RandomState(seed)
    arrays = {}
    for name, shape in record["arguments"] + record["auxiliary"]:
        if name == "data":
            value = rng.randint(0, 256, shape)
        elif name == "softmax_label":
            value = rng.randint(0, CLASSES, shape)
        elif name.endswith("_weight"):
            value = rng.randn(*shape) / np.sqrt(np.prod(shape[1:]))
        elif name.endswith(("_gamma", "_var")):
            value = rng.uniform(0.5, 1.0, shape)
        else:
            value = rng.randn(*shape) * 0.1
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


# Both heads of y, all losses; of r every version once. The other depths are slow.
FAST = (
    *("y1_voGDC", "y1_voGNAP", "y1_loss2", "y1_loss4", "y1_loss4_easy", "y1_loss5"),
    *("y1_loss5_combined", "y1_loss5_cosface", "y1_loss5_plain", "y1_loss0_nobias"),
    *("r18_loss0", "r50_vi0", "r50_vu1", "r50_vu2", "r50_se1", "r50_voD"),
)
SLOW = (
    *("r34_loss0", "r50_loss0", "r100_loss0", "r101_loss0", "r152_loss0", "r200_loss0"),
    *("r269_loss0", "r50_vi1", "r50_voB", "r50_voE", "r50_voG", "r50_voH", "r50_voJ", "r50_voK"),
    *("r50_voA", "r50_voC", "r50_voF", "r50_voGNAP", "r50_voGDC"),
    *("r50_relu", "r50_vu0", "r50_vu3", "y1_loss0", "y2_loss0"),
)


@pytest.mark.parametrize(
    "name", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_function_is_that_of_2018(built, name):
    record = built[name]
    arrays = random_parameters(record)
    expected = forward(loaded_from_nodes(record), arrays)
    got = forward(build(record), arrays)
    for output, wanted, value in zip(record["outputs"], expected, got, strict=True):
        np.testing.assert_allclose(
            value, wanted, rtol=0, atol=1e-5 * max(1.0, np.abs(wanted).max()), err_msg=output
        )


def test_every_graph_of_2018_is_compared(built):
    with_nodes = {k for k, v in built.items() if "nodes" in v and v["output_shapes"]}
    assert with_nodes == {*FAST, *SLOW}


def test_published_model_fits(shared):
    """The published MobileFaceNet: same arguments in the same order and shape, same function."""
    prefix = str(shared / "pretrained" / "model-y1-test2" / "model")
    symbol, arguments, auxiliary = mx.model.load_checkpoint(prefix, 0)
    published = symbol.get_internals()["fc1_output"]
    ours = build_embedding("y1", 128, version_output="GDC")
    # Its layer pre_fc1 has a weight of another name.
    names = [name.replace("pre_fc1_weight", "fc1_weight") for name in ours.list_arguments()]
    assert names == published.list_arguments()
    assert ours.list_auxiliary_states() == published.list_auxiliary_states()

    data = {"data": mx.nd.array(np.random.RandomState(0).randint(0, 256, (2, 3, 112, 112)))}
    (expected,) = forward(published, {**data, **arguments, **auxiliary})
    adopted = adopt_parameters(ours, arguments)
    (got,) = forward(ours, {**data, **adopted, **auxiliary})
    np.testing.assert_allclose(got, expected, atol=1e-5)
