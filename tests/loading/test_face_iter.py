"""`FaceImageIter` as 2018 code and MXNet's own Module use it."""

import random

import numpy as np
import pytest

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.formats.records import RecordWriter
from src.loading.face_iter import FaceImageIter, FaceImageIterList

SHAPE = (3, 112, 112)


def labels_of(iterator):
    return [batch.label[0].asnumpy().tolist() for batch in iterator]


def iterator_of(learnable_set, batch_size=8, **options):
    return FaceImageIter(batch_size, SHAPE, str(learnable_set / "train.rec"), **options)


def test_attributes_and_lines_of_2018(learnable_set, capsys):
    iterator = iterator_of(learnable_set, rand_mirror=True)
    assert iterator.header0 == (49, 57)
    assert iterator.imgidx == iterator.seq == list(range(1, 49))
    assert iterator.id2range[49] == (1, 7)
    assert len(iterator.id2range) == 8
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["header0 label [49. 57.]", "id2range 8", "48", "rand_mirror 1"]


def test_without_shuffling_the_order_is_that_of_the_records(learnable_set):
    iterator = iterator_of(learnable_set)
    expected = (np.arange(48) // 6).reshape(6, 8).tolist()
    assert labels_of(iterator) == expected
    iterator.reset()
    assert labels_of(iterator) == expected


def test_each_epoch_is_another_order_of_all_images(learnable_set):
    iterator = iterator_of(learnable_set, shuffle=True, seed=3)
    epochs = []
    for _ in range(2):
        labels_of(iterator)
        epochs.append(iterator.seq)
        assert sorted(iterator.seq) == iterator.imgidx
        iterator.reset()
    assert epochs[0] != epochs[1]
    again = iterator_of(learnable_set, shuffle=True, seed=3)
    again.reset()
    assert again.seq == epochs[0]


def test_the_random_module_of_python_also_seeds_it(learnable_set):
    orders = []
    for _ in range(2):
        random.seed(9)
        iterator = iterator_of(learnable_set, shuffle=True)
        iterator.reset()
        orders.append(iterator.seq)
    assert orders[0] == orders[1]


def test_a_reset_before_the_first_batch_does_not_skip_an_epoch(learnable_set):
    iterator = iterator_of(learnable_set)
    for _ in range(3):
        iterator.reset()
    assert iterator.epoch == 0


def test_a_set_smaller_than_the_batch_is_repeated_with_a_warning(learnable_set, caplog):
    iterator = iterator_of(learnable_set, batch_size=50)
    (batch,) = list(iterator)
    assert batch.data[0].shape == (50, *SHAPE)
    assert batch.label[0].asnumpy()[48:].tolist() == [0, 0]
    assert "contains 48 images, fewer than a batch of 50" in caplog.text


def test_training_on_a_part_of_the_set(learnable_set):
    iterator = iterator_of(learnable_set, batch_size=4, shuffle=True)
    iterator.seq = [1, 2, 47, 48]
    assert iterator.batches_per_epoch == 1
    for _ in range(2):
        assert sorted(labels_of(iterator)[0]) == [0, 0, 7, 7]
        iterator.reset()


def test_it_continues_from_the_state_of_another(learnable_set):
    first = iterator_of(learnable_set, shuffle=True, rand_mirror=True, seed=1)
    labels_of(first)
    first.reset()
    for _ in range(2):
        first.next()
    second = iterator_of(learnable_set, shuffle=True, rand_mirror=True, seed=2)
    second.restore(first.state())
    for ours, theirs in zip(second, first, strict=True):
        np.testing.assert_array_equal(ours.data[0].asnumpy(), theirs.data[0].asnumpy())


def test_a_stock_module_trains_on_it(learnable_set):
    data = mx.sym.var("data")
    pooled = mx.sym.Pooling(data / 255, kernel=(16, 16), stride=(16, 16), pool_type="avg")
    logits = mx.sym.FullyConnected(pooled, num_hidden=8)
    module = mx.mod.Module(mx.sym.SoftmaxOutput(logits, name="softmax"))
    iterator = iterator_of(learnable_set, shuffle=True, seed=0)
    mx.random.seed(0)
    module.fit(
        iterator,
        optimizer_params={"learning_rate": 0.05, "momentum": 0.9},
        initializer=mx.init.Xavier(),
        num_epoch=8,
    )
    assert module.score(iterator, "acc")[0][1] > 0.9


def test_a_missing_path_and_an_empty_order_raise_errors(learnable_set):
    with pytest.raises(InputError, match="needs path_imgrec"):
        FaceImageIter(8, SHAPE)
    iterator = iterator_of(learnable_set)
    iterator.seq = []
    with pytest.raises(InputError, match="seq is empty"):
        iterator.next()


def test_headerless_records_raise_an_error_that_suggests_the_fix(tmp_path):
    with RecordWriter(tmp_path / "train.rec") as writer:
        writer.write(1, [0, 1], b"picture")
    with pytest.raises(InputError, match=r"headerless.*rebuild"):
        FaceImageIter(1, SHAPE, str(tmp_path / "train.rec"))


class Numbers(mx.io.DataIter):
    """Returns `count` batches, all of one value."""

    def __init__(self, value, count, shape=(2, 3)):
        super().__init__(shape[0])
        self.provide_data = [mx.io.DataDesc("data", shape)]
        self.provide_label = []
        self.value, self.count, self.left = value, count, count

    def reset(self):
        self.left = self.count

    def next(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        return self.value


def test_a_list_draws_from_all_and_never_ends():
    random.seed(0)
    several = FaceImageIterList([Numbers(1, 3), Numbers(2, 5)])
    several.reset()
    given = [several.next() for _ in range(100)]
    assert 35 < given.count(1) < 65
    several.reset()


def test_a_list_needs_iterators_of_one_shape():
    with pytest.raises(InputError, match="at least one"):
        FaceImageIterList([])
    with pytest.raises(InputError, match="different shapes"):
        FaceImageIterList([Numbers(1, 1), Numbers(1, 1, (4, 3))])


@pytest.mark.parametrize(
    ("last_batch", "sizes"),
    [("drop", [13, 13, 13]), ("keep", [13, 13, 13, 9]), ("wrap", [13, 13, 13, 13])],
)
def test_the_last_batch(learnable_set, last_batch, sizes):
    """48 images in batches of 13; resuming in the middle gives the same last batch."""
    options = {"batch_size": 13, "shuffle": True, "seed": 3}
    iterator = iterator_of(learnable_set, **options)
    iterator.last_batch = last_batch
    assert iterator.epoch_length() == (len(sizes), 48)
    batches = list(iterator)
    assert [len(batch.data[0]) for batch in batches] == sizes
    assert [batch.provide_data[0].shape[0] for batch in batches] == sizes
    order = iterator.seq + iterator.seq[: max(sum(sizes) - 48, 0)]
    labels = [iterator.reader.read(i).label[0] for i in order[: sum(sizes)]]
    assert np.concatenate([b.label[0].asnumpy() for b in batches]).tolist() == labels
    other = iterator_of(learnable_set, **options)
    other.last_batch = last_batch
    other.restore({"seed": 3, "epoch": 0, "batch": 2})
    for found, expected in zip(list(other), batches[2:], strict=True):
        np.testing.assert_array_equal(found.data[0].asnumpy(), expected.data[0].asnumpy())


def test_a_changed_order_is_used(learnable_set):
    """Scripts of 2018 shuffle the list, or cut it, themselves."""
    iterator = iterator_of(learnable_set)
    iterator.seq.reverse()
    del iterator.seq[24:]
    iterator.begin_epoch(0)
    assert iterator.seq == list(range(48, 24, -1))
    assert iterator.num_samples() == 24
    assert iterator.imgidx == list(range(1, 49))
