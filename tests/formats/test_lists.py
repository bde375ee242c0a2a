"""List lines, written and read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.common.errors import InputError
from src.formats.lists import (
    ListLine,
    format_aligned_line,
    format_unaligned_line,
    parse_lst_line,
)

coordinates = st.floats(-1000, 5000, width=32)


def test_aligned_line():
    assert format_aligned_line("a b/c.jpg", 7) == "1\ta b/c.jpg\t7"
    assert parse_lst_line("1\ta b/c.jpg\t7\n") == ("a b/c.jpg", 7, None, None, 1)
    assert ListLine._fields == ("image_path", "label", "bbox", "landmark", "aligned")


def test_line_with_box_only():
    path, label, bbox, landmark, aligned = parse_lst_line("0\tp.jpg\t3\t1\t2\t30\t40")
    assert (path, label, landmark, aligned) == ("p.jpg", 3, None, 0)
    np.testing.assert_array_equal(bbox, [1, 2, 30, 40])
    assert bbox.dtype == np.int32


@given(
    st.lists(st.integers(-50, 4000), min_size=4, max_size=4),
    st.lists(coordinates, min_size=10, max_size=10),
    st.integers(0, 10**6),
)
@settings(max_examples=50, deadline=None)
def test_unaligned_lines_are_read_as_written(bbox, numbers, label):
    landmark = np.array(numbers).reshape(5, 2)
    line = format_unaligned_line("x/y.jpg", label, bbox, landmark)
    assert len(line.split("\t")) == 17
    path, label_back, bbox_back, landmark_back, aligned = parse_lst_line(line + "\n")
    assert (path, label_back, aligned) == ("x/y.jpg", label, 0)
    np.testing.assert_array_equal(bbox_back, bbox)
    np.testing.assert_allclose(landmark_back, landmark, atol=1e-6)


def test_five_x_come_before_five_y():
    landmark = np.arange(10).reshape(5, 2)
    fields = format_unaligned_line("p", 0, [1, 2, 3, 4], landmark).split("\t")
    assert [float(field) for field in fields[7:]] == [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 p.jpg 3", "got 1"),
        ("1\tp.jpg", "got 2"),
        ("1\tp.jpg\tx", "'x'"),
        ("0\tp\t1\t1\t2\t3\tnan", "finite"),
        ("0\tp\t1" + "\t1" * 9, "got 12"),
    ],
)
def test_wrong_lines_are_quoted(line, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_lst_line(line)
    assert "list line" in str(caught.value)


def test_a_name_that_would_break_the_list_is_rejected():
    with pytest.raises(InputError, match="rename"):
        format_aligned_line("a\tb.jpg", 0)
