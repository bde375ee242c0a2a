"""The sharded and the sampled classifier, compared with the dense one."""

import math

import numpy as np
import pytest

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.losses.arcface import ArcFace
from src.losses.base import ClassWeights
from src.losses.combined import Combined
from src.losses.cosineface import CosineFace
from src.losses.softmax import Softmax
from src.losses.sphereface import SphereFace
from src.training.class_vectors import random_vectors
from src.training.classifiers import DenseClassifier
from src.training.optimizer import make_optimizer
from src.training.schedule import Schedule
from src.training.sharded_classifier import ShardedClassifier
from src.training.trainer import Trainer

SIZE, BATCH = 8, 12  # of the embedding; images
STEPS = 20
RATE = 0.05

LOSSES = {
    "softmax": Softmax(),
    "softmax without bias": Softmax(fc7_no_bias=True),
    "CosineFace": CosineFace(margin_s=16.0, margin_m=0.2),
    "ArcFace": ArcFace(margin_s=16.0),
    "ArcFace, easy margin": ArcFace(margin_s=16.0, easy_margin=1),
    "combined": Combined(margin_s=16.0, margin_a=0.9, margin_m=0.3, margin_b=0.1),
    "combined without margin": Combined(margin_s=16.0, margin_m=0.0),
}


def backbone():
    """An embedding `fc1` (N, 8) of images of 5×5."""
    body = mx.sym.Convolution(mx.sym.var("data"), num_filter=4, kernel=(3, 3), name="conv0")
    body = mx.sym.BatchNorm(body, name="bn0")
    return mx.sym.FullyConnected(body, num_hidden=SIZE, name="fc1")


def contexts(devices):
    return [mx.cpu(number) for number in range(devices)]


def sharded(loss, classes, devices=1, rate=1.0, seed=5):
    weights = ClassWeights(classes, SIZE, lr_mult=0.8, wd_mult=2.0)
    classifier = ShardedClassifier(loss, weights, contexts(devices), rate)
    classifier.seed = seed
    return classifier


def dense(loss, classes):
    return DenseClassifier(loss, ClassWeights(classes, SIZE, lr_mult=0.8, wd_mult=2.0))


def trainer_of(classifier, devices, arg_params=None, aux_params=None, finished=0):
    trainer = Trainer(backbone(), classifier, contexts(devices))
    mx.random.seed(3)
    trainer.bind(BATCH, (3, 5, 5), mx.init.Xavier(magnitude=2), arg_params, aux_params)
    schedule = Schedule(RATE, [12], None, 1)
    multipliers = {"fc7_weight": 0.8}, {"fc7_weight": 2.0}
    trainer.init_optimizer(
        make_optimizer(schedule, 0.9, 5e-4, devices, 0.0, *multipliers, finished)
    )
    return trainer


def batch(step, classes):
    """The first and the last class, one class several times, and random others."""
    random = np.random.RandomState(step)
    labels = random.randint(0, classes, BATCH)
    labels[:5] = 0, classes - 1, classes // 2, classes // 2, classes // 2
    random.shuffle(labels)
    images = mx.nd.array(random.uniform(-1, 1, (BATCH, 3, 5, 5)))
    return mx.io.DataBatch([images], [mx.nd.array(labels)])


def run(trainer, classes, steps):
    """Losses and accuracies of the given batches."""
    found = []
    for step in steps:
        metric = mx.metric.CompositeEvalMetric(trainer.classifier.metrics())
        data = batch(step, classes)
        trainer.step(data, step)
        trainer.update_metric(metric, data.label)
        found.append([value for _, value in metric.get_name_value()])
    return np.array(found)


def start(classes, loss):
    """Initial parameters, the same for all classifiers."""
    trainer = trainer_of(dense(loss, classes), 1)
    return [{name: array.copy() for name, array in part.items()} for part in trainer.parameters()]


def assert_close(found, expected, tolerance=1e-5):
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(
            found[name].asnumpy(), expected[name].asnumpy(), 0, tolerance, err_msg=name
        )


@pytest.mark.parametrize("classes", [37, 16, 3])
@pytest.mark.parametrize("devices", [1, 2, 4])
@pytest.mark.parametrize("name", LOSSES)
def test_sharded_equals_dense(name, devices, classes):
    """37 classes do not divide evenly, and of 3 classes one of 4 devices has none."""
    loss = LOSSES[name]
    first = start(classes, loss)
    one = trainer_of(dense(loss, classes), devices, *first)
    other = trainer_of(sharded(loss, classes, devices), devices, *first)
    data = batch(1, classes)
    for trainer in (one, other):
        trainer.classifier.forward_backward(trainer.module, data, 1)
    # A class vector's gradient is up to about 10 here: s over the length of the vector.
    assert_close(other.gradients(), one.gradients(), 2e-5)
    losses = [run(trainer, classes, range(1, STEPS + 1)) for trainer in (one, other)]
    np.testing.assert_allclose(losses[1], losses[0], 1e-5, 1e-5)
    for found, expected in zip(other.parameters(), one.parameters(), strict=True):
        assert_close(found, expected)
    assert_close(other.momentum(), one.momentum())


def test_embeddings_get_the_same_gradient():
    """The gradient of the backbone's last layer bias is the sum of the embeddings' gradients."""
    loss = LOSSES["ArcFace"]
    first = start(37, loss)
    found = []
    for classifier in (dense(loss, 37), sharded(loss, 37, 2)):
        trainer = trainer_of(classifier, 2, *first)
        classifier.forward_backward(trainer.module, batch(1, 37), 1)
        found.append(trainer.gradients()["fc1_bias"].asnumpy())
    np.testing.assert_allclose(found[1], found[0], 1e-5, 1e-6)
    assert np.abs(found[0]).max() > 1e-3


@pytest.mark.parametrize("name", ["softmax", "ArcFace"])
def test_a_sample_is_a_softmax_over_its_classes(name):
    """A dense classifier of only the sampled classes is the slow and simple reference."""
    loss, classes = LOSSES[name], 50
    classifier = sharded(loss, classes, rate=0.4)
    first = start(classes, loss)
    trainer = trainer_of(classifier, 1, *first)
    data = batch(1, classes)
    classifier.forward_backward(trainer.module, data, 1)
    rows = classifier.shards[0].rows
    labels = data.label[0].asnumpy()
    assert len(rows) == 20
    assert set(labels) <= set(rows)
    small = {
        key: array[mx.nd.array(rows)] if key.startswith("fc7") else array
        for key, array in first[0].items()
    }
    reference = trainer_of(dense(loss, 20), 1, small, first[1])
    mapped = mx.nd.array(np.searchsorted(rows, labels))
    reference.classifier.forward_backward(reference.module, mx.io.DataBatch(data.data, [mapped]), 1)
    found, expected = trainer.gradients(), reference.gradients()
    for key in expected:
        own = found[key].asnumpy()
        own = own[rows] if key.startswith("fc7") else own
        np.testing.assert_allclose(own, expected[key].asnumpy(), 1e-5, 2e-5, err_msg=key)


@pytest.mark.parametrize("devices", [1, 2])
def test_rows_outside_of_the_sample_do_not_change(devices):
    loss, classes = LOSSES["softmax"], 60
    classifier = sharded(loss, classes, devices, rate=0.5)
    trainer = trainer_of(classifier, devices)
    run(trainer, classes, [1])
    before = {key: a.asnumpy().copy() for key, a in classifier.own_parameters().items()}
    moved = {key: a.asnumpy().copy() for key, a in classifier.own_momentum().items()}
    run(trainer, classes, [2])
    rows = np.concatenate([shard.rows + shard.first for shard in classifier.shards])
    others = np.setdiff1d(np.arange(classes), rows)
    assert len(others) > 20
    for key in before:
        after = classifier.own_parameters()[key].asnumpy()
        np.testing.assert_array_equal(after[others], before[key][others])
        np.testing.assert_array_equal(
            classifier.own_momentum()[key].asnumpy()[others], moved[key][others]
        )
        assert (after[rows] != before[key][rows]).any()


def test_samples_differ_from_step_to_step_and_repeat_with_the_seed():
    def samples(seed):
        classifier = sharded(LOSSES["softmax"], 90, 2, 0.3, seed)
        trainer = trainer_of(classifier, 2)
        found = []
        for step in (1, 2):
            run(trainer, 90, [step])
            found.append([shard.rows.tolist() for shard in classifier.shards])
        return found

    first = samples(5)
    assert samples(5) == first
    assert first[0] != first[1]
    assert samples(6) != first


def test_every_class_is_equally_likely():
    classifier = sharded(LOSSES["softmax"], 40, 1, 0.5)
    shard, counts = classifier.shards[0], np.zeros(40)
    for step in range(2000):
        shard.choose(np.array([7, 7, 39]), np.random.default_rng(step))
        counts[shard.rows] += 1
    assert counts[7] == counts[39] == 2000
    # 18 of the 38 others, each with probability 18/38; 5 standard deviations
    others = np.delete(counts, [7, 39]) / 2000
    np.testing.assert_allclose(others, 18 / 38, atol=5 * math.sqrt(0.25 / 2000))


@pytest.mark.parametrize(("devices", "rate"), [(1, 0.4), (2, 0.4), (2, 1.0)])
def test_resumed_bit_for_bit(devices, rate):
    loss, classes = LOSSES["ArcFace"], 45
    whole = trainer_of(sharded(loss, classes, devices, rate), devices)
    run(whole, classes, range(1, 4))
    whole.average_statistics()
    saved = [{k: a.copy() for k, a in part.items()} for part in whole.parameters()]
    momentum = {k: a.copy() for k, a in whole.momentum().items()}
    expected = run(whole, classes, range(4, 8))
    other = trainer_of(sharded(loss, classes, devices, rate), devices, *saved, finished=3)
    other.set_momentum(momentum)
    np.testing.assert_array_equal(run(other, classes, range(4, 8)), expected)
    for found, wanted in zip(other.parameters(), whole.parameters(), strict=True):
        for name in wanted:
            np.testing.assert_array_equal(found[name].asnumpy(), wanted[name].asnumpy())


def test_without_momentum_there_is_no_state():
    classifier = sharded(LOSSES["ArcFace"], 20, 2)
    trainer = Trainer(backbone(), classifier, contexts(2))
    trainer.bind(BATCH, (3, 5, 5), mx.init.Xavier(magnitude=2))
    trainer.init_optimizer(make_optimizer(Schedule(RATE, [], None, 1), 0.0, 0.0, 2))
    before = classifier.own_parameters()["fc7_weight"].asnumpy().copy()
    run(trainer, 20, [1])
    assert (classifier.own_parameters()["fc7_weight"].asnumpy() != before).any()
    assert trainer.momentum() == {}


def test_initial_class_vectors_are_those_of_any_number_of_devices():
    def vectors(devices):
        classifier = sharded(LOSSES["ArcFace"], 71, devices)
        trainer_of(classifier, devices)
        return classifier.own_parameters()["fc7_weight"].asnumpy()

    np.testing.assert_array_equal(vectors(3), vectors(1))


@pytest.mark.parametrize("rnd_type", ["uniform", "gaussian"])
@pytest.mark.parametrize("factor_type", ["in", "out", "avg"])
def test_initial_class_vectors_have_the_deviation_of_mxnets_initialiser(rnd_type, factor_type):
    initializer = mx.init.Xavier(rnd_type, factor_type, 2)
    expected = mx.nd.zeros((3000, 16))
    mx.random.seed(0)
    initializer(mx.init.InitDesc("fc7_weight"), expected)
    found = random_vectors(initializer, (3000, 16), 3000, (1, 2))
    # 48,000 numbers: the deviation is known to 0.4 %
    assert found.std() == pytest.approx(expected.asnumpy().std(), rel=0.02)
    assert abs(found.mean()) < 0.02 * found.std()


def test_nan_reaches_the_loss():
    classifier = sharded(LOSSES["ArcFace"], 20, 2)
    trainer = trainer_of(classifier, 2)
    classifier.shards[1].arrays["fc7_weight"][3] = np.nan
    losses = run(trainer, 20, [1])
    assert np.isnan(losses[0, 1])
    assert "loss" in trainer.non_finite_outputs()
    assert "fc7_weight" in trainer.non_finite()


def test_what_cannot_be_divided_is_an_error():
    with pytest.raises(InputError, match=r"--loss-type 1 \(SphereFace\) does not work with"):
        sharded(SphereFace(), 20)
    with pytest.raises(InputError, match=r"300000000 classes with --emb-size 8: .* --emb-size$"):
        sharded(LOSSES["ArcFace"], 300000000)
