"""Graphs rewritten for the CPU: equal outputs and gradients, and no crash at the second forward."""

import json
import subprocess
import sys

import numpy as np
import pytest

from src.common.mxnet_backend import mx
from src.graphs.prelu import extra_auxiliary, original_parameters, rewrite_prelu
from src.losses.arcface import ArcFace
from src.losses.base import ClassWeights
from src.symbols.table import build_embedding

CLASSES = 13


def random_arrays(symbol, seed=0, **input_shapes):
    """Arrays for every argument and auxiliary state of a symbol; slopes below 0 and above 1 too."""
    rng = np.random.RandomState(seed)
    shapes, _, states = symbol.infer_shape(**input_shapes)
    names = symbol.list_arguments() + symbol.list_auxiliary_states()
    arrays = {}
    for name, shape in zip(names, shapes + states, strict=True):
        if name == "data":
            value = rng.randint(0, 256, shape)
        elif name == "softmax_label":
            value = rng.randint(0, CLASSES, shape)
        elif name.endswith("relu_gamma"):
            value = rng.uniform(-0.5, 1.5, shape)
        elif name.endswith("_weight"):
            value = rng.randn(*shape) / np.sqrt(np.prod(shape[1:]))
        elif name.endswith(("_gamma", "_var")):
            value = rng.uniform(0.5, 1.0, shape)
        else:
            value = rng.randn(*shape) * 0.1
        arrays[name] = mx.nd.array(value)
    return arrays


def bind(symbol, arrays, grad_req):
    """An executor with copies of `arrays`, and with the states that the rewriting added."""
    arrays = {**arrays, **extra_auxiliary(symbol, arrays)}
    arguments = {name: arrays[name].copy() for name in symbol.list_arguments()}
    gradients = {name: mx.nd.zeros(array.shape) for name, array in arguments.items()}
    return symbol.bind(
        mx.cpu(),
        arguments,
        gradients if grad_req == "write" else None,
        grad_req,
        {name: arrays[name].copy() for name in symbol.list_auxiliary_states()},
    )


def small_network():
    """Convolutions, PReLUs on maps and on vectors, a shortcut, a convolution of a complete map."""
    data = mx.sym.var("data")
    body = mx.sym.Convolution(data, num_filter=8, kernel=(3, 3), pad=(1, 1), name="conv_a")
    first = mx.sym.LeakyReLU(body, act_type="prelu", name="a_relu")
    body = mx.sym.Convolution(first, num_filter=8, kernel=(3, 3), pad=(1, 1), name="conv_b")
    body = mx.sym.LeakyReLU(body + first, act_type="prelu", name="b_relu")
    body = mx.sym.LeakyReLU(body, act_type="leaky", slope=0.1, name="c_leaky")
    body = mx.sym.Convolution(body, num_filter=16, kernel=(112, 112), name="conv_d")
    body = mx.sym.FullyConnected(body, num_hidden=8, name="fc")
    return mx.sym.LeakyReLU(body, act_type="prelu", name="fc_relu")


def test_names_and_outputs_are_kept():
    symbol = ArcFace().head(build_embedding("y1", version_output="GDC"), ClassWeights(CLASSES, 512))
    for for_training in (False, True):
        rewritten = rewrite_prelu(symbol, for_training)
        assert rewritten.list_arguments() == symbol.list_arguments()
        assert rewritten.list_outputs() == symbol.list_outputs()
        assert "fc1_output" in rewritten.get_internals().list_outputs()
        kept = [name for name in rewritten.list_auxiliary_states() if "_cpu_graph" not in name]
        assert kept == symbol.list_auxiliary_states()
        operators = {node["op"] for node in json.loads(rewritten.tojson())["nodes"]}
        assert "LeakyReLU" not in operators
        # Learning rates and decays of single parameters are read from the symbol.
        ours, theirs = rewritten.attr_dict(), symbol.attr_dict()
        for name in symbol.list_arguments():
            assert ours.get(name) == theirs.get(name), name


@pytest.mark.parametrize("for_training", [False, True])
def test_a_small_network_gives_the_same_outputs(for_training):
    symbol = small_network()
    arrays = random_arrays(symbol, data=(2, 3, 112, 112))
    executor = bind(symbol, arrays, "null" if not for_training else "write")
    expected = executor.forward(is_train=for_training)[0].asnumpy()
    rewritten = bind(rewrite_prelu(symbol, for_training), arrays, "null")
    for _ in range(3):
        got = rewritten.forward(is_train=False)[0].asnumpy()
        np.testing.assert_allclose(got, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("for_training", [False, True])
def test_slopes_of_other_names_and_a_single_slope(for_training):
    """As exporters of other programs write them."""
    body = mx.sym.Convolution(mx.sym.var("data"), num_filter=8, kernel=(3, 3), name="conv")
    body = mx.sym.LeakyReLU(body, mx.sym.var("alpha_of_a"), act_type="prelu", name="a_relu")
    shared = mx.sym.var("one", shape=(1,))
    body = mx.sym.LeakyReLU(body, shared, act_type="prelu", name="b_relu")
    symbol = mx.sym.FullyConnected(body, num_hidden=4, name="fc")
    arrays = random_arrays(symbol, data=(2, 3, 112, 112))
    assert arrays["one"].shape == (1,)
    expected = bind(symbol, arrays, "null").forward()[0].asnumpy()
    rewritten = rewrite_prelu(symbol, for_training)
    operators = [node["op"] for node in json.loads(rewritten.tojson())["nodes"]]
    assert operators.count("LeakyReLU") == 1
    got = bind(rewritten, arrays, "null").forward()[0].asnumpy()
    np.testing.assert_allclose(got, expected, atol=1e-5 * np.abs(expected).max())


def assert_same_gradients(symbol, arrays, tolerance=1e-3):
    """Outputs, gradients of all arguments, and moving statistics, after a training step.

    `tolerance` is relative to each gradient's largest element.
    """
    results = []
    for graph in (symbol, rewrite_prelu(symbol, for_training=True)):
        executor = bind(graph, arrays, "write")
        outputs = [output.asnumpy() for output in executor.forward(is_train=True)]
        executor.backward([mx.nd.ones(output.shape) for output in outputs])
        mx.nd.waitall()  # the engine does not track writes of moving statistics
        gradients = {name: array.asnumpy() for name, array in executor.grad_dict.items()}
        _, states = original_parameters({}, executor.aux_dict)
        results.append((outputs, gradients, {k: v.asnumpy() for k, v in states.items()}))
    (outputs, gradients, states), (new_outputs, new_gradients, new_states) = results
    for got, expected in zip(new_outputs, outputs, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())
    for name, expected in gradients.items():
        # Gradients that cancel to 0, like those of a bias before a normalisation, are noise.
        atol = max(tolerance * np.abs(expected).max(), 1e-4)
        got = new_gradients[name]
        if name.endswith("relu_gamma") and not np.allclose(got, expected, atol=atol):
            # The stock graph's bug, see the module; which layer it affects depends on the CPU.
            got = got * arrays[name].asnumpy()
        np.testing.assert_allclose(got, expected, atol=atol, err_msg=name)
    assert set(new_states) == set(states)
    for name, expected in states.items():
        np.testing.assert_allclose(new_states[name], expected, rtol=1e-4, atol=1e-4, err_msg=name)
    return gradients


@pytest.mark.parametrize("shape", [(5, 8), (4, 8, 3, 6)], ids=["vectors", "maps"])
def test_gradients_are_those_of_the_formula(shape):
    """The stock graph fails this: its gradient of a slope is too small by the factor slope."""
    rng = np.random.RandomState(4)
    data, upstream, slope = rng.randn(*shape), rng.randn(*shape), rng.uniform(-0.5, 1.5, 8)
    symbol = mx.sym.LeakyReLU(mx.sym.var("data") * 2.0, act_type="prelu", name="a_relu")
    arrays = {"data": mx.nd.array(data), "a_relu_gamma": mx.nd.array(slope)}
    executor = bind(rewrite_prelu(symbol, for_training=True), arrays, "write")
    (output,) = executor.forward(is_train=True)
    executor.backward(mx.nd.array(upstream))

    by_channel = slope.reshape((1, 8) + (1,) * (len(shape) - 2))
    bent = np.where(data > 0, 2 * data, 2 * data * by_channel)
    np.testing.assert_allclose(output.asnumpy(), bent, atol=1e-5)
    to_data = 2 * upstream * np.where(data > 0, 1.0, by_channel)
    np.testing.assert_allclose(executor.grad_dict["data"].asnumpy(), to_data, atol=1e-5)
    others = tuple(axis for axis in range(len(shape)) if axis != 1)
    to_slope = np.sum(np.where(data > 0, 0.0, 2 * data * upstream), axis=others)
    np.testing.assert_allclose(executor.grad_dict["a_relu_gamma"].asnumpy(), to_slope, atol=2e-5)


def test_gradients_of_the_published_model_are_the_same(shared, reference_arithmetic):
    prefix = str(shared / "pretrained" / "model-y1-test2" / "model")
    symbol, arguments, auxiliary = mx.model.load_checkpoint(prefix, 0)
    embedding = symbol.get_internals()["fc1_output"]
    symbol = ArcFace().head(embedding, ClassWeights(CLASSES, 128))
    arrays = random_arrays(symbol, data=(4, 3, 112, 112))
    arrays.update({name: arguments[name] for name in arguments if not name.startswith("fc7")})
    arrays.update(auxiliary)
    # With SSE4.1 one PReLU's input is on the other side of 0: one element differs by 1.3e-3.
    tolerance = 1e-3 if reference_arithmetic else 3e-3
    gradients = assert_same_gradients(symbol, arrays, tolerance)
    assert np.abs(gradients["conv_1_relu_gamma"]).max() > 0


def test_published_model_gives_the_same_at_every_forward(shared):
    """The stock graph fails at its second forward, see `rewrite_prelu`."""
    prefix = str(shared / "pretrained" / "model-y1-test2" / "model")
    symbol, arguments, auxiliary = mx.model.load_checkpoint(prefix, 0)
    embedding = symbol.get_internals()["fc1_output"]
    images = np.random.RandomState(1).randint(0, 256, (4, 3, 112, 112)).astype(np.float32)
    arrays = {**arguments, **auxiliary, "data": mx.nd.array(images)}
    expected = bind(embedding, arrays, "null").forward(is_train=False)[0].asnumpy()
    executor = bind(rewrite_prelu(embedding, for_training=False), arrays, "null")
    for _ in range(3):
        got = executor.forward(is_train=False)[0].asnumpy()
        np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "flags"),
    [
        ("y1", {"version_output": "GNAP"}),
        ("r18", {"version_output": "E", "version_se": 1}),
        ("r18", {"version_output": "D", "version_unit": 1}),
        ("r18", {"version_output": "GDC", "version_unit": 2}),
    ],
)
def test_inference_of_other_networks_is_the_same(network, flags):
    symbol = build_embedding(network, 128, **flags)
    arrays = random_arrays(symbol, data=(3, 3, 112, 112))
    for name, array in arrays.items():
        if name.endswith("relu_gamma"):  # like trained ones; otherwise the deepest sums overflow
            arrays[name] = mx.nd.clip(array, 0.0, 1.2)
    expected = bind(symbol, arrays, "write").forward(is_train=False)[0].asnumpy()
    executor = bind(rewrite_prelu(symbol, for_training=False), arrays, "null")
    for _ in range(2):
        got = executor.forward(is_train=False)[0].asnumpy()
        np.testing.assert_allclose(got, expected, atol=2e-5 * np.abs(expected).max())


def test_extra_states_are_constants_and_are_removed_again():
    symbol = small_network()
    arrays = random_arrays(symbol, data=(2, 3, 112, 112))
    rewritten = rewrite_prelu(symbol, for_training=True)
    extra = extra_auxiliary(rewritten, arrays)
    assert len(extra) == 6
    for name, value in extra.items():
        assert (value.asnumpy() == (1.0 if name.endswith("_var") else 0.0)).all()
    arguments, auxiliary = original_parameters(arrays, {**extra, "bn_moving_mean": 1})
    assert arguments == arrays
    assert auxiliary == {"bn_moving_mean": 1}
    assert extra_auxiliary(symbol, arrays) == {}


def test_an_embedding_does_not_depend_on_its_batch():
    """Unlike that of GNAP."""
    symbol = build_embedding("r18", 64, version_output="E")
    arrays = random_arrays(symbol, data=(6, 3, 112, 112))
    images = arrays.pop("data")
    results = []
    for size in (1, 2, 6):
        parts = []
        for begin in range(0, 6, size):
            group = {**arrays, "data": images[begin : begin + size]}
            parts.append(bind(symbol, group, "null").forward(is_train=False)[0].asnumpy())
        results.append(np.concatenate(parts))
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], atol=1e-5 * np.abs(results[0]).max())


ONE_PROCESS = """
import sys
from src.common.mxnet_backend import mx
from src.graphs.prelu import rewrite_prelu

data = mx.sym.var("data")
maps = mx.sym.Convolution(data, num_filter=32, kernel=(3, 3), stride=(16, 16), name="conv")
maps = mx.sym.Pooling(maps, global_pool=True, kernel=(7, 7), pool_type="avg")
vectors = mx.sym.FullyConnected(data, num_hidden=32, name="fc")
for body in (maps, vectors):
    body = mx.sym.BatchNorm(body, fix_gamma=True, name="bn")
    symbol = rewrite_prelu(mx.sym.FullyConnected(body, num_hidden=8, name="last"), False)
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=(1, 3, 112, 112))
    executor.forward(is_train=False)[0].wait_to_read()
print("both")
"""


def test_batch_norms_of_1x1_maps_and_of_vectors_in_one_process():
    """As in networks that end in GNAP and in E; the stock graphs crash the process."""
    done = subprocess.run(
        [sys.executable, "-c", ONE_PROCESS], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "both\n"), done.stderr
