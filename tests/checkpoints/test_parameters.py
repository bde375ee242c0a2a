"""A file's arrays under the names of a graph; which are missing, surplus or wrong."""

import logging

import pytest

from src.checkpoints.parameters import compare, sort_arrays
from src.common.errors import InputError
from src.common.mxnet_backend import mx


def graph():
    body = mx.sym.Convolution(mx.sym.var("data"), num_filter=2, kernel=(1, 1), name="conv0")
    body = mx.sym.BatchNorm(body, fix_gamma=False, name="bn0")
    return mx.sym.FullyConnected(body, num_hidden=3, name="fc1")


ARGUMENTS = {
    "conv0_weight": (2, 3, 1, 1),
    "conv0_bias": (2,),
    "bn0_gamma": (2,),
    "bn0_beta": (2,),
    "fc1_weight": (3, 8),
    "fc1_bias": (3,),
}
STATES = {"bn0_moving_mean": (2,), "bn0_moving_var": (2,)}


def arrays(shapes, prefix=""):
    return {prefix + name: mx.nd.ones(shape) for name, shape in shapes.items()}


def shapes_of(parameters):
    return {name: array.shape for name, array in parameters.items()}


def test_the_graph_decides_which_arrays_are_auxiliary():
    given = arrays(ARGUMENTS, "arg:") | arrays(STATES, "arg:")
    arg_params, aux_params = sort_arrays(given, graph(), "m.params")
    assert shapes_of(arg_params) == ARGUMENTS
    assert shapes_of(aux_params) == STATES


def test_arrays_that_the_graph_does_not_have_keep_their_kind(caplog):
    given = arrays(ARGUMENTS, "arg:net.") | arrays(STATES, "aux:net.")
    given |= arrays({"bn9_moving_mean": (2,)}, "aux:net.") | arrays({"head_weight": (2,)}, "net.")
    given |= arrays({"fc7_weight": (9, 3)}, "arg:net.")
    caplog.set_level(logging.INFO)
    arg_params, aux_params = sort_arrays(given, graph(), "m.params")
    assert set(arg_params) == {*ARGUMENTS, "head_weight", "fc7_weight"}
    assert set(aux_params) == {*STATES, "bn9_moving_mean"}
    assert caplog.messages == [
        "m.params: removed net. from the array names",
        "m.params contains arrays that its graph does not use: bn9_moving_mean, head_weight",
    ]


def test_different_parts_may_have_different_prefixes():
    """`backbone.conv0_weight` and `head.fc1_weight`."""
    given = {
        ("head." if name.startswith("fc1") else "backbone.") + name: mx.nd.ones(shape)
        for name, shape in {**ARGUMENTS, **STATES}.items()
    }
    arg_params, aux_params = sort_arrays(given, graph(), "m.params")
    assert shapes_of(arg_params) == ARGUMENTS
    assert shapes_of(aux_params) == STATES


def test_two_arrays_of_one_name_are_rejected():
    given = arrays(ARGUMENTS, "arg:") | arrays(ARGUMENTS, "teacher.")
    with pytest.raises(
        InputError,
        match=r"^m.params contains conv0_weight twice, as arg:conv0_weight and as teacher\.conv0_w",
    ):
        sort_arrays(given, graph(), "m.params")


@pytest.mark.parametrize(
    "names", [[], ["features.0.weight", "features.1.gamma"], ["conv1.weight", "bn1.running_mean"]]
)
def test_names_of_another_network_are_rejected_in_one_line(names):
    given = {name: mx.nd.ones(2) for name in names}
    with pytest.raises(InputError, match=r"^m.params: none of its arrays \(.*gluon") as error:
        sort_arrays(given, graph(), "m.params")
    assert all(name in str(error.value) for name in (*names, "conv0_weight"))


def test_arrays_that_do_not_fit_are_listed():
    shapes = {"data": (4, 3, 2, 2)}
    found = compare(graph(), arrays(ARGUMENTS), arrays(STATES), shapes)
    assert found == (8, [], [], [])
    given = {**ARGUMENTS, "fc1_weight": (3, 12), "fc7_weight": (9, 3)}
    del given["conv0_bias"]
    found = compare(graph(), arrays(given), arrays({"bn0_moving_var": (2,)}), shapes)
    assert found.needed == 8
    assert found.missing == ["conv0_bias", "bn0_moving_mean"]
    assert found.surplus == ["fc7_weight"]
    assert found.wrong == ["fc1_weight is (3, 12), expected (3, 8)"]


def test_an_impossible_input_shape_is_reported_without_a_dump(capsys):
    with pytest.raises(InputError, match=r"does not fit images of shape \(4, 3\)"):
        compare(graph(), {}, {}, {"data": (4, 3)})
    assert capsys.readouterr().out == ""
