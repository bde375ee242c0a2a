"""Batches decoded ahead of time: order, augmentation, and images that cannot be used."""

import cv2
import numpy as np
import pytest

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.formats.face_records import FaceRecordWriter
from src.formats.records import RecordReader
from src.loading.image_batches import GREY, Augmentation, ImageBatches

SHAPE = (3, 112, 112)


@pytest.fixture
def reader(learnable_set):
    with RecordReader(learnable_set / "train.rec") as reader:
        yield reader


def batches_of(reader, batch_size=4, threads=2, **augmentation):
    return ImageBatches(reader, batch_size, SHAPE, Augmentation(**augmentation), threads)


def all_batches(batches):
    given = []
    while True:
        try:
            given.append(batches.next_batch())
        except StopIteration:
            return given


def decoded(reader, record_id):
    """The reference: (3, H, W), RGB, decoded by OpenCV alone."""
    encoded = np.frombuffer(reader.read(record_id).content, np.uint8)
    return cv2.cvtColor(cv2.imdecode(encoded, 1), cv2.COLOR_BGR2RGB).transpose(2, 0, 1)


def test_images_and_labels_have_the_requested_order(reader):
    batches = batches_of(reader, threads=3)
    order = np.array([40, 1, 7, 22, 3, 48, 9, 10, 11])
    batches.start(order, 0)
    given = all_batches(batches)
    assert len(given) == batches.count == 2  # the last image does not fill a batch
    images = np.concatenate([images for images, _ in given])
    assert images.dtype == np.float32
    for image, record_id in zip(images, order[:8], strict=True):
        np.testing.assert_array_equal(image, decoded(reader, record_id))
    labels = np.concatenate([labels for _, labels in given])
    np.testing.assert_array_equal(labels, (order[:8] - 1) // 6)


def test_an_order_shorter_than_a_batch_is_repeated(reader):
    batches = batches_of(reader, batch_size=5)
    batches.start(np.array([1, 7]), 0)
    ((_, labels),) = all_batches(batches)
    np.testing.assert_array_equal(labels, [0, 1, 0, 1, 0])


def test_about_half_are_mirrored_depending_on_the_seed_only(reader):
    order = np.arange(1, 49)
    passes = []
    for stream, threads in ((5, 1), (5, 4), (6, 1)):
        batches = batches_of(reader, batch_size=8, threads=threads, rand_mirror=True)
        batches.start(order, stream)
        passes.append(np.concatenate([images for images, _ in all_batches(batches)]))
    plain = np.stack([decoded(reader, record_id) for record_id in order])
    mirrored = (passes[0] == plain[..., ::-1]).all(axis=(1, 2, 3))
    kept = (passes[0] == plain).all(axis=(1, 2, 3))
    assert (mirrored ^ kept).all()
    assert 12 < mirrored.sum() < 36
    np.testing.assert_array_equal(passes[0], passes[1])
    assert not np.array_equal(passes[0], passes[2])


def test_a_pass_resumed_in_the_middle_draws_the_same(reader):
    batches = batches_of(reader, rand_mirror=True, cutoff=20)
    batches.start(np.arange(1, 49), 3)
    whole = all_batches(batches)
    batches.start(np.arange(1, 49), 3, first=10)
    assert batches.position == 10
    for (images, _), (expected, _) in zip(all_batches(batches), whole[10:], strict=True):
        np.testing.assert_array_equal(images, expected)


def test_cutoff_greys_a_square(reader):
    batches = batches_of(reader, batch_size=48, cutoff=30)
    batches.start(np.arange(1, 49), 0)
    ((images, _),) = all_batches(batches)
    grey = (images == GREY).all(axis=1)  # never in a decoded image: not an integer
    areas = grey.sum(axis=(1, 2))
    assert areas.max() == 30 * 30
    assert areas.min() >= 15 * 15  # a corner
    plain = np.stack([decoded(reader, record_id) for record_id in range(1, 49)])
    rest = ~np.repeat(grey[:, None], 3, axis=1)
    np.testing.assert_array_equal(images[rest], plain[rest])


def test_mean_is_subtracted_and_scaled(reader):
    batches = batches_of(reader, mean=[10, 20, 30])
    batches.start(np.arange(1, 5), 0)
    ((images, _),) = all_batches(batches)
    mean = np.reshape([10, 20, 30], (3, 1, 1))
    np.testing.assert_allclose(images[0], (decoded(reader, 1) - mean) / 128, atol=1e-6)


def test_augmenters_of_mxnet_are_called(reader):
    batches = batches_of(reader, aug_list=[lambda image: image * 0 + mx.nd.array([1, 2, 3])])
    batches.start(np.arange(1, 5), 0)
    ((images, _),) = all_batches(batches)
    np.testing.assert_array_equal(images[:, :, 5, 5], [[1, 2, 3]] * 4)


def test_without_augmentation_the_images_are_plain(reader):
    batches = batches_of(reader, rand_mirror=True, cutoff=50)
    batches.start(np.arange(1, 5), 0, augment=False)
    ((images, _),) = all_batches(batches)
    np.testing.assert_array_equal(images[2], decoded(reader, 3))


def write_set(folder, contents):
    with FaceRecordWriter(folder / "train.rec") as writer:
        for number, content in enumerate(contents):
            writer.add_image(number // 2, content)
    return RecordReader(folder / "train.rec")


def test_an_undecodable_image_is_logged_once_and_replaced(tmp_path, reader, caplog):
    good = reader.read(1).content
    with write_set(tmp_path, [good, b"no picture", good, b"", good, good]) as broken:
        batches = batches_of(broken, batch_size=3)
        for _ in range(2):
            batches.start(np.arange(1, 7), 0)
            (_, first), (_, second) = all_batches(batches)
            np.testing.assert_array_equal(first, [0, 1, 1])  # 2 is replaced by 3
            np.testing.assert_array_equal(second, [2, 2, 2])  # 4 by 5
    assert [line for line in caplog.messages if "image 2 cannot be decoded" in line] != []
    assert len(caplog.messages) == 2
    assert "image 4 cannot be decoded" in caplog.messages[1]
    assert "2 undecodable so far" in caplog.messages[1]


def test_a_set_without_any_decodable_image_is_rejected(tmp_path):
    with write_set(tmp_path, [b"1", b"2", b"3", b"4"]) as broken:
        batches = batches_of(broken)
        batches.start(np.arange(1, 5), 0)
        with pytest.raises(InputError, match="none of its 4 images can be decoded"):
            batches.next_batch()


def test_an_image_of_another_size_is_rejected(tmp_path):
    small = cv2.imencode(".jpg", np.zeros((100, 112, 3), np.uint8))[1].tobytes()
    with write_set(tmp_path, [small] * 4) as other:
        batches = batches_of(other)
        batches.start(np.arange(1, 5), 0)
        with pytest.raises(
            InputError,
            match=r"image 1 has height and width \(100, 112\), but property has \(112, 112\)",
        ):
            batches.next_batch()


def test_at_least_one_thread_is_needed(reader):
    with pytest.raises(InputError, match="0 decoding threads"):
        batches_of(reader, threads=0)


@pytest.mark.parametrize("augmentation", [{}, {"rand_mirror": True, "cutoff": 30}])
def test_workers_divide_every_batch(reader, augmentation):
    """Together they have the images, labels and random draws of one process."""
    order = np.arange(48, 0, -1)
    whole = batches_of(reader, 6, **augmentation)
    whole.start(order, 7, first=1)
    expected = all_batches(whole)
    parts = []
    for rank in range(3):
        batches = ImageBatches(reader, 2, SHAPE, Augmentation(**augmentation), 2, (rank, 3))
        batches.start(order, 7, first=1)
        parts.append(all_batches(batches))
    assert len(expected) == 7
    for batch, *of_workers in zip(expected, *parts, strict=True):
        for own, joined in zip(batch, zip(*of_workers, strict=True), strict=True):
            np.testing.assert_array_equal(np.concatenate(joined), own)


def test_an_order_shorter_than_the_batch_of_all_workers_is_repeated(reader):
    batches = ImageBatches(reader, 2, SHAPE, Augmentation(), 1, (1, 2))
    batches.start(np.array([1, 7, 13]), 0)
    ((_, labels),) = all_batches(batches)
    np.testing.assert_array_equal(labels, [2, 0])


def test_a_worker_replaces_a_broken_image_by_the_one_that_a_single_process_takes(tmp_path):
    """The replacement follows in the order of all workers."""
    picture = cv2.imencode(".png", np.zeros((112, 112, 3), np.uint8))[1].tobytes()
    with FaceRecordWriter(tmp_path / "train.rec") as writer:
        for label in range(6):
            writer.add_image([label, 1], b"broken" if label == 3 else picture)
    with RecordReader(tmp_path / "train.rec") as reader:
        batches = ImageBatches(reader, 1, SHAPE, Augmentation(), 1, (1, 2))
        batches.start(np.arange(1, 7), 0)
        assert [labels.tolist() for _, labels in all_batches(batches)] == [[1], [4], [5]]
