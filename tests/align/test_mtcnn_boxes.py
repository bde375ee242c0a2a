"""Each box function against a slow implementation of its definition."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.align.mtcnn_boxes import (
    bbreg,
    crop_batch,
    generateBoundingBox,
    imresample,
    pad,
    pyramid_scales,
    rerec,
)
from src.align.suppression import nms, nms_in_groups


def random_boxes(count, seed=0):
    random = np.random.RandomState(seed)
    corner = random.rand(count, 2) * 100
    return np.hstack([corner, corner + 1 + random.rand(count, 2) * 60, random.rand(count, 1)])


def overlap(first, second, method):
    """Of two boxes with inclusive corners."""
    width = min(first[2], second[2]) - max(first[0], second[0]) + 1
    height = min(first[3], second[3]) - max(first[1], second[1]) + 1
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (first, second)]
    return shared / (min(areas) if method == "Min" else sum(areas) - shared)


# ---------------------------------------------------------------------------------- suppression


@pytest.mark.parametrize("method", ["Union", "Min"])
@given(st.integers(0, 40), st.integers(0, 1000), st.floats(0.05, 0.95))
@settings(max_examples=40, deadline=None)
def test_nms_equals_plain_loops(method, count, seed, threshold):
    boxes = random_boxes(count, seed)
    kept = []
    for row in sorted(range(count), key=lambda row: -boxes[row, 4]):
        if all(overlap(boxes[other], boxes[row], method) <= threshold for other in kept):
            kept.append(row)
    np.testing.assert_array_equal(nms(boxes, threshold, method), kept)


def test_nms_of_equal_boxes_keeps_one():
    boxes = np.tile([[10.0, 10, 20, 20, 0.5]], (9, 1))
    assert len(nms(boxes, 0.7, "Union")) == 1


def test_nms_picks_rows_beyond_sixteen_bits():
    # 2018 kept them as int16.
    count = 40_000
    corner = np.stack([20.0 * np.arange(count), np.zeros(count)], axis=1)
    boxes = np.hstack([corner, corner + 10, np.linspace(0.1, 0.9, count)[:, None]])[-2:]
    far = np.vstack([np.tile(boxes[:1], (count, 1)), boxes[1:]])
    assert nms(far, 0.5, "Union").tolist()[0] == count


def test_equal_scores_keep_the_order_of_numpys_introsort():
    # From NumPy 1.23.5, which uses the algorithm of 1.14; 1.26 with AVX-512 gives another order.
    scores = np.array([5, 1, 5, 5, 3, 5, 5, 1, 5, 5, 5, 2, 5, 5, 5, 5, 5, 5, 4, 5, 5, 5]) / 5
    corner = 100.0 * np.arange(len(scores))[:, None] * [1, 0]
    boxes = np.hstack([corner, corner + 9, scores[:, None]])
    assert nms(boxes, 0.5, "Union").tolist() == [
        21, 12, 2, 3, 5, 6, 8, 9, 20, 10, 13, 14, 15, 16, 17, 19, 0, 18, 4, 11, 7, 1,
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["Union", "Min"])
def test_nms_in_groups_equals_nms_of_each(method):
    random = np.random.RandomState(8)
    counts = [*random.randint(0, 30, 50), 300, 1, 2, 700]
    group = np.repeat(np.arange(len(counts)) * 3, counts)
    boxes = random_boxes(len(group))
    boxes[:, 4] = np.round(boxes[:, 4], 1)  # with equal scores
    picks, start = [], 0
    for count in counts:
        picks += (start + nms(boxes[start : start + count], 0.4, method)).tolist()
        start += count
    found = nms_in_groups(boxes, group, 0.4, method)
    assert found.tolist() == picks
    assert len(set(counts)) < len(found) < len(boxes)


def test_crops_of_many_photos_are_those_of_each():
    random = np.random.RandomState(9)
    images = [random.randint(0, 256, (h, w, 3)).astype(np.uint8) for h, w in ((50, 60), (90, 31))]
    boxes = random_boxes(40).round()
    owner = np.sort(random.randint(0, 2, 40))
    crops = crop_batch(images, owner, boxes, 48)
    for photo, image in enumerate(images):
        rows = boxes[owner == photo]
        alone = crop_batch([image], np.zeros(len(rows), int), rows, 48)
        np.testing.assert_array_equal(crops[owner == photo], alone)


def test_nms_rejects_other_methods():
    with pytest.raises(ValueError, match=r"'union'.*'Union' or 'Min'"):
        nms(np.zeros((1, 5)), 0.5, "union")


# ---------------------------------------------------------------------------------- proposals


def test_pyramid_stops_when_the_photo_is_smaller_than_a_cell():
    assert pyramid_scales(250, 99, 100, 0.709) == []
    scales = pyramid_scales(250, 400, 100, 0.709)
    np.testing.assert_allclose(scales, [0.12, 0.12 * 0.709, 0.12 * 0.709**2])


def naive_proposals(imap, reg, scale, t):
    """By the definition, column by column."""
    rows = []
    for column in range(imap.shape[1]):
        for row in range(imap.shape[0]):
            if imap[row, column] >= t:
                corner = [np.fix((2 * column + 1) / scale), np.fix((2 * row + 1) / scale)]
                end = [np.fix((2 * column + 12) / scale), np.fix((2 * row + 12) / scale)]
                rows.append([*corner, *end, imap[row, column], *reg[row, column]])
    return np.array(rows).reshape(-1, 9)


@pytest.mark.parametrize("t", [0.0, 0.5, 0.9, 2.0])
def test_proposals_equal_plain_loops(t):
    random = np.random.RandomState(3)
    imap = random.rand(7, 11).astype(np.float32)
    reg = random.randn(7, 11, 4).astype(np.float32)
    boxes, offsets = generateBoundingBox(imap, reg, 0.3, t)
    expected = naive_proposals(imap, reg, 0.3, t)
    np.testing.assert_array_equal(boxes, expected)
    np.testing.assert_array_equal(offsets, expected[:, 5:])
    assert boxes.dtype == np.float64


def test_a_single_proposal_has_the_offsets_of_its_mirror_image():
    # 2018: a quirk that the boxes depend on.
    reg = np.random.RandomState(4).randn(5, 8, 4).astype(np.float32)
    imap = np.zeros((5, 8), np.float32)
    imap[1, 2] = 0.9
    boxes, _ = generateBoundingBox(imap, reg, 0.5, 0.6)
    np.testing.assert_array_equal(boxes[0, 5:], reg[1, 8 - 1 - 2])


# ---------------------------------------------------------------------------------- geometry


def test_bbreg_moves_corners_by_fractions_of_the_side():
    boxes = np.array([[10.0, 20, 19, 39, 0.5]])
    moved = bbreg(boxes, np.array([[0.1, 0.2, -0.1, 0.5]]))
    np.testing.assert_allclose(moved, [[11, 24, 18, 49, 0.5]])


def test_rerec_keeps_the_middle_and_the_longer_side():
    boxes = random_boxes(30)
    square = rerec(boxes.copy())
    sides = square[:, 2:4] - square[:, :2]
    longer = (boxes[:, 2:4] - boxes[:, :2]).max(axis=1)
    np.testing.assert_allclose(sides, np.stack([longer, longer], axis=1))
    np.testing.assert_allclose(square[:, :2] + square[:, 2:4], boxes[:, :2] + boxes[:, 2:4])
    np.testing.assert_array_equal(square[:, 4], boxes[:, 4])


@given(st.lists(st.integers(-30, 90), min_size=4, max_size=4))
@settings(max_examples=100, deadline=None)
def test_crop_shows_the_photo_inside_and_black_outside(corners):
    x1, y1 = min(corners[0], corners[1]), min(corners[2], corners[3])
    x2, y2 = max(corners[0], corners[1]), max(corners[2], corners[3])
    image = np.random.RandomState(5).randint(0, 256, (50, 60, 3)).astype(np.uint8)
    # 2018: boxes count pixels from 1.
    expected = np.zeros((y2 - y1 + 1, x2 - x1 + 1, 3), np.float32)
    for row in range(y1, y2 + 1):
        for column in range(x1, x2 + 1):
            if 1 <= row <= 50 and 1 <= column <= 60:
                expected[row - y1, column - x1] = image[row - 1, column - 1]
    crops = crop_batch([image], np.zeros(1, int), np.array([[x1, y1, x2, y2, 1.0]]), 24)
    resized = cv2.resize(expected, (24, 24), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(crops[0], (resized - 127.5) / 128, atol=1e-6)
    assert crops.dtype == np.float32


def test_crop_of_a_box_inside_out_is_black():
    image = np.full((50, 60, 3), 255, np.uint8)
    crops = crop_batch([image], np.zeros(2, int), np.array([[30.0, 30, 20, 40], [5, 5, 6, 6]]), 24)
    assert (crops[0] == np.float32(-127.5 / 128)).all()
    assert (crops[1] > 0.99).all()


def test_pad_of_a_box_over_two_edges():
    names = ("dy", "edy", "dx", "edx", "y", "ey", "x", "ex", "tmpw", "tmph")
    values = pad(np.array([[-2.0, 5, 12, 25, 1]]), 20, 18)
    found = {name: int(value[0]) for name, value in zip(names, values, strict=True)}
    assert found == {
        "dx": 4, "edx": 15, "x": 1, "ex": 12, "tmpw": 15,
        "dy": 1, "edy": 14, "y": 5, "ey": 18, "tmph": 21,
    }  # fmt: skip


def test_imresample_takes_height_first():
    assert imresample(np.zeros((10, 20, 3), np.uint8), (4, 5)).shape == (4, 5, 3)
