"""List lines, the template, and faces cut out by box or landmarks."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import SimilarityTransform

from src.common.errors import InputError
from src.common.face_preprocess import (
    FIVE_POINT_TEMPLATE,
    format_aligned_line,
    format_unaligned_line,
    parse_image_size,
    parse_lst_line,
    preprocess,
    read_image,
    similarity_transform,
    template_for,
    warp_to_template,
)

coordinates = st.floats(-1000, 5000, width=32)


@pytest.fixture
def photo():
    return np.random.RandomState(1).randint(0, 256, (120, 100, 3)).astype(np.uint8)


# ---------------------------------------------------------------------------------- lines


def test_aligned_line():
    assert format_aligned_line("a b/c.jpg", 7) == "1\ta b/c.jpg\t7"
    assert parse_lst_line("1\ta b/c.jpg\t7\n") == ("a b/c.jpg", 7, None, None, 1)


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
def test_unaligned_lines_come_back(bbox, numbers, label):
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


def test_a_name_that_would_break_the_list_is_refused():
    with pytest.raises(InputError, match="rename"):
        format_aligned_line("a\tb.jpg", 0)


# ---------------------------------------------------------------------------------- template


def test_template_of_112_by_112_is_that_of_112_by_96_eight_to_the_right():
    np.testing.assert_array_equal(template_for((112, 112)), FIVE_POINT_TEMPLATE)
    shift = FIVE_POINT_TEMPLATE - template_for((112, 96))
    np.testing.assert_allclose(shift, [[8, 0]] * 5, atol=1e-5)


def test_template_scales_with_the_height():
    np.testing.assert_allclose(template_for((224, 224)), 2 * FIVE_POINT_TEMPLATE, rtol=1e-6)


@pytest.mark.parametrize(("text", "size"), [("112,96", (112, 96)), ("112", (112, 112))])
def test_image_size(text, size):
    assert parse_image_size(text) == size


@pytest.mark.parametrize("text", ["", "112,", "0,112", "1,2,3", "a", "-112"])
def test_wrong_image_size(text):
    with pytest.raises(InputError, match="112,112"):
        parse_image_size(text)


def test_similarity_equals_scikit_image():
    random = np.random.RandomState(0)
    for _ in range(50):
        source = random.rand(5, 2).astype(np.float32) * 300
        target = random.rand(5, 2).astype(np.float32) * 112
        oracle = SimilarityTransform()
        assert oracle.estimate(source, target)
        matrix = similarity_transform(source, target)
        np.testing.assert_allclose(matrix, oracle.params[:2], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("landmark", [np.full((5, 2), 7.0), np.full((5, 2), np.nan)])
def test_degenerate_landmarks_are_refused(landmark, photo):
    with pytest.raises(InputError, match="degenerate"):
        warp_to_template(photo, landmark)


def test_landmarks_end_on_the_template():
    image = np.zeros((300, 300, 3), np.uint8)
    turn = cv2.getRotationMatrix2D((60, 60), 25, 1.4)
    landmark = FIVE_POINT_TEMPLATE @ turn[:, :2].T + turn[:, 2] + 50
    for x, y in np.rint(landmark).astype(int):
        image[y - 2 : y + 3, x - 2 : x + 3] = 255
    face = warp_to_template(image, landmark)
    rows, columns = np.nonzero(face[..., 0] > 100)
    bright = np.stack([columns, rows], axis=1)
    distance = np.linalg.norm(bright[:, None] - FIVE_POINT_TEMPLATE[None], axis=2)
    assert distance.min(axis=1).max() < 4
    assert (distance.min(axis=0) < 1).all()


# ---------------------------------------------------------------------------------- crops


def test_crop_adds_half_the_margin_on_each_side(photo):
    face = preprocess(photo, bbox=[20, 30, 50, 70], image_size="", margin=11)
    np.testing.assert_array_equal(face, photo[25:75, 15:55])


def test_crop_ends_with_the_photo(photo):
    face = preprocess(photo, bbox=[5, 6, 90, 110], image_size="", margin=44)
    np.testing.assert_array_equal(face, photo)


def test_without_a_box_the_middle_is_cropped(photo):
    face = preprocess(photo, image_size="", margin=0)
    np.testing.assert_array_equal(face, photo[7:113, 6:94])


def test_crop_is_resized(photo):
    assert preprocess(photo, bbox=[20, 30, 50, 70], image_size="112,96").shape == (112, 96, 3)


def test_landmarks_win_over_the_box(photo):
    landmark = template_for((112, 112)) + np.float32([3, 2])
    face = preprocess(photo, bbox=[0, 0, 5, 5], landmark=landmark, image_size="112,112")
    np.testing.assert_array_equal(face, warp_to_template(photo, landmark))
    np.testing.assert_array_equal(face[20:60, 20:60], photo[22:62, 23:63])


def test_box_outside_the_photo_is_refused(photo):
    with pytest.raises(InputError, match=r"\(500, 500, 600, 600\) lies outside .* 100×120"):
        preprocess(photo, bbox=[500, 500, 600, 600])


def test_read_image_modes_and_layouts(tmp_path, photo):
    path = str(tmp_path / "名 前.png")
    content = cv2.imencode(".png", photo)[1].tobytes()
    (tmp_path / "名 前.png").write_bytes(content)
    np.testing.assert_array_equal(read_image(path), photo[..., ::-1])
    np.testing.assert_array_equal(read_image(path, mode="bgr"), photo)
    chw = read_image(path, layout="CHW")
    np.testing.assert_array_equal(chw, photo[..., ::-1].transpose(2, 0, 1))
    grey = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY)
    np.testing.assert_allclose(read_image(path, mode="gray"), grey, atol=1)
    from_array = preprocess(read_image(path), image_size="", margin=0)
    np.testing.assert_array_equal(preprocess(path, image_size="", margin=0), from_array)
