"""Sets whose ranges are rounded: found again from the records."""

import itertools

import numpy as np
import pytest

from src.formats import face_layout, large_sets
from src.formats.face_layout import LayoutError, read_layout
from src.formats.records import RecordReader, RecordWriter


def write(path, counts, change=lambda number: number, header=None, labels=None):
    """A set with some images per identity, whose ranges are stored as `change` returns them."""
    images = sum(counts)
    bounds = np.append(1, 1 + np.cumsum(counts))
    labels = range(len(counts)) if labels is None else labels
    with RecordWriter(path) as writer:
        header = header or (images + 1, images + 1 + len(counts))
        writer.write(0, [change(number) for number in header])
        number = 1
        for label, count in zip(labels, counts, strict=True):
            for _ in range(count):
                writer.write(number, [label, 1], b"picture")
                number += 1
        for place in range(len(counts)):
            writer.write(images + 1 + place, [change(bounds[place]), change(bounds[place + 1])])


@pytest.fixture
def small(monkeypatch):
    """Pretends that numbers from 8 on are rounded to even ones."""
    for module in (large_sets, face_layout):
        monkeypatch.setattr(module, "LARGEST_EXACT", 8)
    monkeypatch.setattr(
        large_sets, "largest_error", lambda numbers: (np.asarray(numbers) >= 8).astype(np.int64)
    )


def rounded(number):
    """To an even number, as float32 does above 2^24: halves to a multiple of four."""
    return number if number <= 8 else 2 * int(np.round(number / 2))


COUNTS = [
    [3, 4, 2, 5, 1, 1, 3, 6],
    [5, 4, 3, 3, 3],
    [1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3],
    [9, 1, 4],
    [20],
    [8, 7],
    [3, 3],
]


@pytest.mark.parametrize("counts", COUNTS)
def test_the_layout_is_exact(tmp_path, small, counts):
    write(tmp_path / "train.rec", counts, rounded)
    with RecordReader(tmp_path / "train.rec") as reader:
        layout = read_layout(reader)
    bounds = np.append(1, 1 + np.cumsum(counts)).tolist()
    images = sum(counts)
    assert list(layout.identity_ranges.values()) == list(itertools.pairwise(bounds))
    assert layout.header == (images + 1, images + 1 + len(counts))
    assert list(layout.identity_ranges) == list(range(images + 1, images + 1 + len(counts)))
    assert layout.image_ids == range(1, images + 1)


@pytest.mark.parametrize(
    ("counts", "settings", "message"),
    [
        ([6, 6, 6], {"header": (25, 28)}, "the images do not end near record|are missing"),
        ([6, 6, 6], {"header": (19, 30)}, "record 0 gives 30 as the end, the index 22"),
        ([6, 6, 6], {"labels": [0, 1, 1]}, "1 changes of the label near the 2 rounded bounds|0 ch"),
    ],
)
def test_records_that_do_not_fit_their_ranges(tmp_path, small, counts, settings, message):
    write(tmp_path / "train.rec", counts, rounded, **settings)
    with (
        RecordReader(tmp_path / "train.rec") as reader,
        pytest.raises(LayoutError, match=f"({message}).*rounded above 2.24.*rebuild it"),
    ):
        read_layout(reader)


def test_the_error_of_float32():
    exact = [0, 5, (1 << 24) - 2, (1 << 24) - 1]
    assert large_sets.largest_error(np.array(exact)).tolist() == [0, 0, 0, 0]
    rounded_numbers = np.array([(1 << 24) + 2, (1 << 25) - 2, 1 << 25, (1 << 26) + 8], np.float32)
    assert large_sets.largest_error(rounded_numbers).tolist() == [1, 1, 2, 4]
    for number in range((1 << 24) - 5, (1 << 24) + 40):
        stored = np.float32(number)
        assert abs(int(stored) - number) <= large_sets.largest_error(np.array([stored]))[0]
