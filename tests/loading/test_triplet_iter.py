"""The triplet iterator: settings that cannot work, the layout of batches, and resuming."""

import numpy as np
import pytest

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.formats.face_records import FaceRecordWriter
from src.loading.triplet_iter import MOST_EMPTY_BAGS, FaceImageIter, NoTriplets

SHAPE = (3, 112, 112)


class ColourModel:
    """Embeds an image as the mean colours of its four quarters: (N, 12)."""

    def __init__(self, scale=1.0):
        self.scale = scale
        self.batches = 0

    def forward(self, batch, is_train):
        assert not is_train
        self.batches += 1
        images = batch.data[0].asnumpy()
        quarters = images.reshape(len(images), 3, 2, 56, 2, 56).mean(axis=(3, 5))
        self.embeddings = (quarters.reshape(len(images), 12) - 127.5) * self.scale

    def get_outputs(self):
        return [mx.nd.array(self.embeddings)]


def iterator_of(folder, batch_size=12, **options):
    settings = {"triplet_params": [40, 1.5, 0.0], "mx_model": ColourModel(), "seed": 0, **options}
    return FaceImageIter(batch_size, SHAPE, str(folder / "train.rec"), **settings)


def all_labels(iterator):
    return np.array([batch.label[0].asnumpy() for batch in iterator])


@pytest.mark.parametrize("devices", [1, 2])
def test_each_device_gets_anchors_then_positives_then_negatives(learnable_set, devices):
    iterator = iterator_of(learnable_set, ctx_num=devices)
    labels = all_labels(iterator)
    assert len(labels) == iterator.batches_per_epoch >= 2
    # (batches, devices, 3, triplets)
    anchors, positives, negatives = np.moveaxis(
        labels.reshape(len(labels), devices, 3, 12 // devices // 3), 2, 0
    )
    np.testing.assert_array_equal(anchors, positives)
    assert (anchors != negatives).all()
    ids = np.array(iterator.seq).reshape(len(labels), devices, 3, -1)
    assert (ids[:, :, 0] != ids[:, :, 1]).all()


def test_a_bag_larger_than_the_set_shrinks_with_a_warning(learnable_set, caplog):
    iterator = iterator_of(learnable_set, triplet_params=[3600, 1.5, 0.0])
    assert iterator.triplet_bag_size == 40  # 8 identities, 5 images of each
    assert "--triplet-bag-size 40" in caplog.text


def test_the_bag_need_not_be_a_multiple_of_the_batch(learnable_set):
    model = ColourModel()
    iterator = iterator_of(learnable_set, triplet_params=[31, 1.5, 0.0], mx_model=model)
    iterator.reset()
    assert model.batches == 3
    assert set(iterator.seq) <= set(range(1, 49))


def test_a_round_limits_the_images_of_each_identity(learnable_set):
    iterator = iterator_of(learnable_set, images_per_identity=3)
    iterator.triplet_oseq_reset()
    first = list(iterator.triplet_seq)
    identities = (np.array(first) - 1) // 6
    assert np.unique(identities, return_counts=True)[1].tolist() == [3] * 8
    assert np.count_nonzero(np.diff(identities)) == 7  # grouped by identity
    iterator.triplet_oseq_reset()
    assert iterator.triplet_seq != first


def test_the_same_seeds_give_the_same_triplets(learnable_set):
    orders = []
    for _ in range(2):
        np.random.seed(4)
        iterator = iterator_of(learnable_set)
        iterator.reset()
        orders.append(iterator.seq)
    assert orders[0] == orders[1]


def test_it_continues_from_the_state_of_another(learnable_set):
    np.random.seed(0)
    first = iterator_of(learnable_set, rand_mirror=True)
    for _ in first:
        pass
    first.reset()
    first.next()
    second = iterator_of(learnable_set, rand_mirror=True, seed=5)
    second.restore(first.state())
    randomness = np.random.get_state()
    for iterator in (first, second):
        np.random.set_state(randomness)
        iterator.given = [batch.data[0].asnumpy() for batch in iterator]
        iterator.reset()
    np.testing.assert_array_equal(first.given, second.given)
    assert first.seq == second.seq


def test_bags_without_a_triplet_raise_an_error_with_the_reason(learnable_set):
    model = ColourModel()
    iterator = iterator_of(learnable_set, triplet_params=[40, 1e-9, 0.0], mx_model=model)
    with pytest.raises(NoTriplets, match=f"{MOST_EMPTY_BAGS} bags of 40 images in a row"):
        iterator.next()
    assert model.batches == MOST_EMPTY_BAGS * 4


def test_few_triplets_are_collected_over_several_bags(learnable_set):
    np.random.seed(0)
    model = ColourModel()
    iterator = iterator_of(
        learnable_set, batch_size=48, triplet_params=[10, 1.5, 0.0], mx_model=model
    )
    iterator.reset()
    assert model.batches > 1
    assert len(iterator.seq) % 48 == 0
    assert iterator.seq


def test_embeddings_that_are_not_finite_raise_an_error(learnable_set):
    iterator = iterator_of(learnable_set, mx_model=ColourModel(scale=np.nan))
    with pytest.raises(InputError, match="not finite"):
        iterator.next()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 10}, "multiple of 3"),
        ({"batch_size": 12, "ctx_num": 8}, "multiple of 3"),
        ({"batch_size": 12, "ctx_num": 6}, "multiple of 3"),
        ({"images_per_identity": 1}, "--images-per-identity 1"),
        ({"triplet_params": [40, 0.0, 0.0]}, "--triplet-alpha 0"),
        ({"triplet_params": [2, 0.3, 0.0]}, "--triplet-bag-size 2"),
        ({"mx_model": None}, "needs mx_model"),
    ],
)
def test_settings_that_cannot_work_raise_errors_at_once(learnable_set, options, message):
    with pytest.raises(InputError, match=message):
        iterator_of(learnable_set, **options)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]])
def test_a_set_without_pairs_or_negatives_raises_an_error(tmp_path, labels):
    with FaceRecordWriter(tmp_path / "train.rec") as writer:
        for label in labels:
            writer.add_image(label, b"picture")
    with pytest.raises(InputError, match="triplets need at least 2 identities"):
        iterator_of(tmp_path)
