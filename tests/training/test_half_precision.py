"""A float16 network: its graph, and the training around it, as far as a CPU can compute it.

A CPU has no float16 convolutions and matrix products. So the graphs of real networks are only
built and inferred, and what is trained is a network of elementwise operators.
"""

import numpy as np
import pytest

from src import train_softmax
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.graphs.half import in_half, scale_loss
from src.losses.arcface import ArcFace
from src.losses.base import ClassWeights
from src.losses.softmax import Softmax
from src.losses.triplet import Triplet
from src.symbols.table import build_embedding
from src.training import memory
from src.training.classifiers import DenseClassifier
from src.training.half_precision import MOST_OVERFLOWS
from src.training.optimizer import make_optimizer
from src.training.schedule import Schedule
from src.training.sharded_classifier import ShardedClassifier
from src.training.stopping import Diverged
from src.training.trainer import Trainer

SCALE = 128.0
SCHEDULE = Schedule(0.05, [], None, 1)
FEATURES, BATCH, CLASSES = 16, 12, 5


class OnGpu(Trainer):
    """A trainer that binds a GPU's form of the graph, in which PReLU is elementwise."""

    on_cpu = property(lambda self: False, lambda self, value: None)


@pytest.mark.parametrize(("network", "head"), [("y1", "GNAP"), ("r18", "E"), ("m1", "E")])
def test_types_in_a_real_network(network, head):
    """Weights are float16; batch normalisation, classifier and outputs are float32."""
    embedding = build_embedding(network, 128, version_output=head)
    classifier = DenseClassifier(ArcFace(), ClassWeights(10, 128))
    trainer = OnGpu(embedding, classifier, [mx.cpu()], loss_scale=SCALE)
    symbol = trainer.module.symbol
    arguments, outputs, statistics = symbol.infer_type(data=np.float32, softmax_label=np.float32)
    types = dict(zip(symbol.list_arguments(), arguments, strict=True))
    assert {*outputs, *statistics} == {np.float32}
    assert types["fc7_weight"] is np.float32
    normalised = {name.removesuffix("_moving_var") for name in symbol.list_auxiliary_states()}
    for name, found in types.items():
        if name.endswith("_weight") and name != "fc7_weight":
            assert found is np.float16, name
        if name.removesuffix("_gamma").removesuffix("_beta") in normalised:
            assert found is np.float32, name
    saved = trainer.symbol.infer_type(data=np.float32, softmax_label=np.float32)
    assert {*saved[0], *saved[1], *saved[2]} == {np.float32}
    shapes = symbol.infer_shape(data=(2, 3, 112, 112), softmax_label=(2,))[0]
    assert dict(zip(types, shapes, strict=True))["fc7_weight"] == (10, 128)


@pytest.mark.parametrize("loss", [Softmax(), ArcFace(), Triplet()])
def test_the_loss_is_scaled_and_the_outputs_are_not(loss):
    head = loss.head(mx.sym.var("data"), ClassWeights(4, 6), trained=True)
    random = np.random.RandomState(0)
    data = mx.nd.array(random.randn(6, 6))
    found = []
    for symbol in (head, scale_loss(head, 8)):
        bound = symbol.simple_bind(mx.cpu(), data=(6, 6), softmax_label=(6,))
        if "fc7_weight" in bound.arg_dict:
            bound.arg_dict["fc7_weight"][:] = mx.nd.array(np.random.RandomState(1).randn(4, 6))
        inputs = {"softmax_label": mx.nd.array([0, 1, 2, 3, 0, 1])}
        given = {n: a for n, a in inputs.items() if n in bound.arg_dict}
        outputs = bound.forward(is_train=True, data=data, **given)
        bound.backward()
        found.append([array.asnumpy() for array in (*outputs, bound.grad_dict["data"])])
    assert np.abs(found[0][-1]).max() > 0
    np.testing.assert_allclose(found[1][-1], 8 * found[0][-1], rtol=1e-5)
    for scaled, plain in zip(found[1][:-1], found[0][:-1], strict=True):
        np.testing.assert_array_equal(scaled, plain)


def elementwise_network():
    """(N, 16) → (N, 16)."""
    data = mx.sym.broadcast_mul(mx.sym.var("data"), mx.sym.var("a_weight", shape=(1, FEATURES)))
    data = mx.sym.BatchNorm(data, fix_gamma=False, name="b", eps=1e-3)
    return mx.sym.broadcast_add(
        mx.sym.tanh(data), mx.sym.var("c_weight", shape=(1, FEATURES)), name="fc1"
    )


def batch_of(number):
    random = np.random.RandomState(number)
    data = mx.nd.array(random.randn(BATCH, FEATURES))
    return mx.io.DataBatch([data], [mx.nd.array(random.randint(0, CLASSES, BATCH))])


def make(loss_scale, devices=1, sharded=False, given=None, momentum=0.9, finished=0):
    contexts = [mx.cpu(i) for i in range(devices)]
    weights = ClassWeights(CLASSES, FEATURES)
    classifier = (
        ShardedClassifier(Softmax(), weights, contexts)
        if sharded
        else DenseClassifier(Softmax(), weights)
    )
    trainer = OnGpu(elementwise_network(), classifier, contexts, loss_scale=loss_scale)
    mx.random.seed(2)
    initializer = mx.init.Uniform(1)
    if given is None:
        random = np.random.RandomState(5)
        given = (
            {
                name: mx.nd.array(random.randn(*shape))
                for name, shape in [
                    ("a_weight", (1, FEATURES)),
                    ("c_weight", (1, FEATURES)),
                    ("b_gamma", (FEATURES,)),
                    ("b_beta", (FEATURES,)),
                    ("fc7_weight", (CLASSES, FEATURES)),
                    ("fc7_bias", (CLASSES,)),
                ]
            },
            {},
        )
    trainer.bind(BATCH, (FEATURES,), initializer, *given)
    optimizer = make_optimizer(
        SCHEDULE, momentum, 1e-3, devices, finished_steps=finished, loss_scale=loss_scale
    )
    trainer.init_optimizer(optimizer)
    trainer.set_momentum({})
    return trainer


def arrays_of(trainer):
    arg_params, aux_params = trainer.parameters()
    return {name: array.asnumpy().copy() for name, array in {**arg_params, **aux_params}.items()}


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("devices", [1, 2])
def test_training_is_that_of_float32_to_the_precision_of_float16(devices, sharded):
    half, full = (make(scale, devices, sharded) for scale in (SCALE, None))
    for number in range(1, 21):
        for trainer in (half, full):
            trainer.step(batch_of(number), number)
        assert half.gradient_norm() == pytest.approx(full.gradient_norm(), rel=0.02)
    assert half.module.get_params()[0]["a_weight"].dtype == np.float16
    expected, start = arrays_of(full), arrays_of(make(None, devices, sharded))
    for name, array in arrays_of(half).items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, expected[name], atol=5e-3, err_msg=name)
    moved = np.abs(expected["a_weight"] - start["a_weight"]).max()
    assert moved > 0.05
    gradients, wanted = half.gradients(), full.gradients()
    assert gradients["a_weight"].dtype in (np.float16, np.float32)
    np.testing.assert_allclose(
        gradients["a_weight"].asnumpy(), wanted["a_weight"].asnumpy(), atol=2e-3
    )


def test_updates_too_small_for_float16_are_not_lost():
    """At 1.0, float16 numbers are 0.001 apart; the rate here moves weights by far less."""
    trainer = make(SCALE, momentum=0.0)
    trainer.optimizer.lr_scheduler = lambda _: 1e-5
    before = arrays_of(trainer)["c_weight"]
    for number in range(1, 4):
        trainer.step(batch_of(number), number)
    change = np.abs(arrays_of(trainer)["c_weight"] - before)
    assert 0 < change.max() < 1e-4


def test_a_float32_checkpoint_is_kept_exactly():
    given = make(None).parameters()
    trainer = make(SCALE, given=given)
    for name, array in arrays_of(trainer).items():
        every = {**given[0], **given[1]}
        np.testing.assert_array_equal(array, every[name].asnumpy(), err_msg=name)


@pytest.mark.parametrize("devices", [1, 2])
def test_a_resumed_run_is_bit_equal(devices):
    whole = make(SCALE, devices)
    for number in range(1, 7):
        whole.step(batch_of(number), number)
        if number == 3:
            whole.average_statistics()
            saved = [dict(part) for part in whole.parameters()]
            saved = [{n: a.copy() for n, a in part.items()} for part in saved]
            momentum = {name: array.copy() for name, array in whole.momentum().items()}
    again = make(SCALE, devices, given=saved, finished=3)
    again.set_momentum(momentum)
    for number in range(4, 7):
        again.step(batch_of(number), number)
    for name, array in arrays_of(again).items():
        np.testing.assert_array_equal(array, arrays_of(whole)[name], err_msg=name)


def test_a_batch_whose_gradients_overflow_is_left_out(caplog):
    trainer = make(SCALE, momentum=0.0)
    trainer.optimizer.wd = 0.0
    trainer.step(batch_of(1), 1)
    before = arrays_of(trainer)
    broken = batch_of(2)
    broken.data[0][0, 0] = 1e6  # infinite in float16
    trainer.step(broken, 2)
    assert "batch 2: gradients exceed float16, the batch is left out" in caplog.text
    after = arrays_of(trainer)
    for name in ("a_weight", "b_gamma", "fc7_weight"):
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    with pytest.raises(Diverged, match=f"batch {MOST_OVERFLOWS + 1}: .*--loss-scale below 128"):
        for number in range(3, 30):
            trainer.step(broken, number)


def test_half_of_the_layers_memory():
    network = build_embedding("y1", 128, version_output="GNAP")
    found = []
    for scale in (None, SCALE):
        classifier = DenseClassifier(ArcFace(), ClassWeights(10, 128))
        trainer = OnGpu(network, classifier, [mx.cpu()], loss_scale=scale)
        found.append(memory.estimate(trainer, 8, (3, 112, 112), True))
    full, half = found
    assert half.layers == pytest.approx(full.layers / 2, rel=1e-3)
    assert half.parameters == full.parameters // 2
    assert half.optimizer == 2 * full.optimizer
    assert half.classifier == full.classifier


def test_a_cpu_is_refused(learnable_set, tmp_path):
    args = ["--data-dir", str(learnable_set), "--prefix", str(tmp_path / "m"), "--dtype", "float16"]
    with pytest.raises(InputError, match=r"--dtype float16 needs a GPU: on a CPU, MXNet 1\.9\.1"):
        train_softmax.main(args)


def test_why_a_cpu_is_refused():
    """The reason that the message gives."""
    product = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=2, no_bias=True)
    symbol = mx.sym.Cast(in_half(product), dtype="float32")
    bound = symbol.simple_bind(mx.cpu(), type_dict={"data": np.float32}, data=(1, 4))
    with pytest.raises(
        mx.MXNetError, match=r"float16 fully connected layer is currently *only supported by CuDNN"
    ):
        bound.forward()[0].asnumpy()
