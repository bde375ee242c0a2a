"""The graphs of heads: operators, memory, positions of labels, and wrong settings."""

import json
import re

import numpy as np
import pytest

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.losses.sphereface import BETA

SIZE, CLASSES, SCALE = 8, 11, 64.0

LOSSES = {
    "softmax": {"loss_type": 0},
    "softmax without bias": {"loss_type": 0, "fc7_no_bias": True},
    "cosine": {"loss_type": 2},
    "arc": {"loss_type": 4},
    "arc, easy": {"loss_type": 4, "easy_margin": True},
    "combined": {"loss_type": 5, "margin_a": 0.9, "margin_m": 0.4, "margin_b": 0.15},
    "combined as cosine": {"loss_type": 5, "margin_m": 0.0, "margin_b": 0.35},
    "combined as none": {"loss_type": 5, "margin_m": 0.0},
    **{f"sphere {margin}": {"loss_type": 1, "margin": margin} for margin in (1, 2, 3, 4)},
}


# Operators of heads; MXNet 1.3.1, the version of September 2018, has all of them (null: an input).
OPERATORS_OF_2018 = """
null BlockGrad Dropout FullyConnected L2Normalization SoftmaxOutput _div_scalar _full
_greater_scalar _greater_equal_scalar _lesser_scalar _lesser_equal_scalar _maximum_scalar
_minus_scalar _mod_scalar _mul_scalar _not_equal_scalar _plus_scalar _rminus_scalar abs arccos
broadcast_add broadcast_div broadcast_mul clip cos elemwise_add elemwise_div elemwise_mul
elemwise_sub expand_dims one_hot ones_like pick sqrt square sum where
"""


@pytest.mark.parametrize("name", LOSSES)
def test_the_saved_graph_loads_in_mxnet_of_2018(make_head, name):
    symbol = make_head(LOSSES[name], CLASSES, SIZE)
    operators = {node["op"] for node in json.loads(symbol.tojson())["nodes"]}
    assert operators <= set(OPERATORS_OF_2018.split())


def planned_bytes(symbol, rows):
    """Size of all arrays between the inputs and their gradients."""
    shapes = {"embedding": (rows, SIZE), "softmax_label": (rows,)}
    if BETA in symbol.list_arguments():
        shapes[BETA] = (rows,)
    wanted = {
        name: "write" if name in ("embedding", "fc7_weight") else "null"
        for name in symbol.list_arguments()
    }
    report = symbol.simple_bind(mx.cpu(), grad_req=wanted, **shapes).debug_str()
    return int(re.search(r"Total (\d+) MB allocated", report)[1]) * 2**20


@pytest.mark.parametrize("name", [name for name in LOSSES if "softmax" not in name])
def test_a_margin_needs_two_more_arrays_of_batch_by_classes(make_head, name):
    rows, classes = 512, 20480  # 40 MiB; class vectors are 0.6 MiB
    one = 4 * rows * classes
    bare = planned_bytes(
        make_head(LOSSES["softmax without bias"], classes, SIZE, trained=True), rows
    )
    assert round(bare / one, 1) == 2.0  # logits or probabilities, and a gradient
    more = planned_bytes(make_head(LOSSES[name], classes, SIZE, trained=True), rows) - bare
    assert more <= 2.1 * one


def test_labels_beyond_float32_integers_of_the_flat_array(make_head):
    """The index of a target in the flat array has more digits than float32."""
    classes, rows = 400_003, 48  # 19 million places; float32 counts to 16.8 million
    rng = np.random.RandomState(0)
    labels = rng.randint(0, classes, rows)
    embedding, weight = rng.randn(rows, SIZE), rng.randn(classes, SIZE).astype(np.float32)
    symbol = make_head(LOSSES["cosine"], classes, SIZE, trained=True)
    logits = symbol.get_internals()[symbol.get_internals().list_outputs()[-2]]
    assert logits.name.startswith("reshape")
    arrays = {"embedding": embedding, "fc7_weight": weight, "softmax_label": labels}
    arrays = {name: mx.nd.array(arrays[name]) for name in logits.list_arguments()}
    (got,) = logits.bind(mx.cpu(), arrays, grad_req="null").forward()
    cosine = (embedding / np.linalg.norm(embedding, axis=1)[:, None]) @ (
        weight / np.linalg.norm(weight, axis=1)[:, None]
    ).T
    cosine[np.arange(rows), labels] -= 0.5
    np.testing.assert_allclose(got.asnumpy(), SCALE * cosine, atol=1e-3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"loss_type": 3}, r"--loss-type 3: expected one of 0 \(softmax\), 1 \(SphereFace\)"),
        ({"loss_type": 4, "margin_m": 2.0}, "--margin-m 2.0"),
        ({"loss_type": 2, "margin_m": -0.1}, "--margin-m -0.1"),
        ({"loss_type": 4, "margin_s": 0.0}, "--margin-s 0.0"),
        ({"loss_type": 5, "margin_m": -0.1}, "--margin-m -0.1"),
        ({"loss_type": 5, "margin_b": -0.1}, "--margin-b -0.1"),
        ({"loss_type": 5, "margin_a": 0.0}, "--margin-a 0.0"),
        ({"loss_type": 5, "margin_m": float("nan")}, "--margin-m nan"),
        ({"loss_type": 1, "margin": 5}, "--margin 5: expected 1, 2, 3 or 4"),
        ({"loss_type": 1, "margin": 0}, "--margin 0"),
        ({"loss_type": 1, "beta": -1.0}, "--beta -1.0"),
    ],
)
def test_wrong_losses_and_margins_raise_errors(make_head, flags, message):
    with pytest.raises(InputError, match=message):
        make_head(flags, CLASSES, SIZE)


def test_multipliers_reach_the_weight(make_head):
    symbol = make_head({"loss_type": 4}, CLASSES, SIZE, wd_mult=10.0, lr_mult=0.5)
    attributes = symbol.attr_dict()["fc7_weight"]
    assert float(attributes["__wd_mult__"]) == 10.0
    assert float(attributes["__lr_mult__"]) == 0.5
