"""Cutting a graph at its embedding, checking its parameters, and binding it."""

import logging

import numpy as np
import pytest

from src.checkpoints.binding import bind_embedding, cut_at_embedding
from src.common.errors import InputError
from src.common.mxnet_backend import mx


def test_cut_at_embedding(tiny):
    cut = cut_at_embedding(tiny.symbol())
    assert cut.list_outputs() == ["fc1_output"]
    assert cut_at_embedding(cut).list_outputs() == ["fc1_output"]
    other = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=2, name="embed")
    with pytest.raises(InputError, match=r"fc1_output.*embed_output"):
        cut_at_embedding(other)


def forward(module, images):
    module.forward(mx.io.DataBatch(data=(mx.nd.array(images),)), is_train=False)
    return module.get_outputs()[0].asnumpy()


@pytest.mark.parametrize("contexts", [mx.cpu(), [mx.cpu()], [mx.cpu(0), mx.cpu(1)]])
def test_a_bound_embedding_can_run_repeatedly(tiny, contexts):
    arg_params, aux_params = tiny.parameters()
    images = np.random.RandomState(1).uniform(0, 255, (4, 3, 8, 8))
    module = bind_embedding(tiny.symbol(), arg_params, aux_params, contexts, 4, (8, 8))
    executor = cut_at_embedding(tiny.symbol()).bind(
        mx.cpu(),
        {"data": mx.nd.array(images), **{k: arg_params[k] for k in arg_params if "fc7" not in k}},
        aux_states=aux_params,
        args_grad={"act_gamma": mx.nd.zeros(6)},  # a graph with gradients is not fused
    )
    expected = executor.forward(is_train=False)[0].asnumpy()
    for _ in range(4):
        np.testing.assert_allclose(forward(module, images), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(forward(module, images[::-1]), expected[::-1], rtol=1e-5, atol=1e-5)


def test_a_module_that_the_caller_binds_can_run_repeatedly(tiny):
    """2018's code calls `bind` itself, with MXNet's default settings."""
    module = mx.mod.Module(cut_at_embedding(tiny.symbol()), label_names=None)
    module.bind(data_shapes=[("data", (4, 3, 8, 8))], for_training=False)
    arg_params, aux_params = tiny.parameters()
    module.set_params(arg_params, aux_params, allow_extra=True)
    images = np.random.RandomState(1).uniform(0, 255, (4, 3, 8, 8))
    first = forward(module, images)
    for _ in range(3):
        np.testing.assert_array_equal(forward(module, images), first)


def test_binding_checks_the_parameters(tiny, caplog):
    arg_params, aux_params = tiny.parameters()

    def bind(args=arg_params, aux=aux_params, batch_size=2, image_size=(8, 8), contexts=None):
        return bind_embedding(
            tiny.symbol(), args, aux, contexts or mx.cpu(), batch_size, image_size
        )

    without = {name: arg_params[name] for name in arg_params if name != "conv_bias"}
    with pytest.raises(InputError, match=r"lacks 1 of the 9 arrays.*conv_bias"):
        bind(args=without)
    with pytest.raises(InputError, match=r"lacks 1 of the 9 arrays.*fc1_moving_var"):
        bind(aux={"fc1_moving_mean": aux_params["fc1_moving_mean"]})
    with pytest.raises(InputError, match=r"\(3, 9, 9\).*pre_fc1_weight is \(4, 6\), expected"):
        bind(image_size=(9, 9))
    with pytest.raises(InputError, match=r"does not fit images of shape \(2, 3, 4, 4\)"):
        bind(image_size=(4, 4))
    with pytest.raises(InputError, match=r"batch of 1 .* 2 devices"):
        bind(batch_size=1, contexts=[mx.cpu(0), mx.cpu(1)])
    with caplog.at_level(logging.INFO):
        bind()
    assert "does not use fc7_weight, fc7_bias" in caplog.text


def test_a_failing_binding_prints_nothing(tiny, capsys):
    with pytest.raises(InputError):
        bind_embedding(tiny.symbol(), *tiny.parameters(), mx.cpu(), 2, (4, 4))
    assert capsys.readouterr().out == ""
