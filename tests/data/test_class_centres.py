"""Centres, compared with slow and simple ones."""

import numpy as np
import pytest

from src.common.errors import InputError
from src.data.class_centres import class_centres, embed_encoded, unit_rows
from src.data.dataset_merge import load_model
from src.formats.face_layout import open_face_records
from src.formats.face_records import FaceRecordWriter


def test_zero_rows_stay_zero():
    assert unit_rows([[3, 4], [0, 0]]).tolist() == [[0.6, 0.8], [0, 0]]


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_centres_are_means_of_unit_embeddings(make_set, colour_model, batch_size, caplog):
    colours = [(200, 30, 60), (20, 220, 90), (90, 90, 250), (1, 2, 3)]
    folder = make_set("set", colours, images=3)
    reader, layout = open_face_records(folder)
    module = load_model(colour_model, batch_size, (16, 16))
    with reader:
        ranges = list(layout.identity_ranges.values())
        centres, bad = class_centres(reader, ranges, module, batch_size, (16, 16))
    assert bad == []
    np.testing.assert_allclose(centres, unit_rows(np.array(colours) - 128), atol=1e-6)


def test_a_set_without_readable_images_is_an_error(colour_model, tmp_path):
    with FaceRecordWriter(tmp_path / "train.rec") as writer:
        writer.add_image(0, b"no picture")
    reader, layout = open_face_records(tmp_path)
    module = load_model(colour_model, 2, (16, 16))
    with reader, pytest.raises(InputError, match=r"train\.rec: none of its 1 images"):
        class_centres(reader, list(layout.identity_ranges.values()), module, 2, (16, 16))


def test_undecodable_images_have_no_position(colour_model, make_picture):
    module = load_model(colour_model, 2, (16, 16))
    contents = [b"", make_picture((255, 128, 128)), b"x", make_picture((128, 255, 128), (8, 8))]
    blocks = list(embed_encoded(contents, module, 2, (16, 16)))
    assert np.concatenate([positions for positions, _ in blocks]).tolist() == [1, 3]
    rows = np.concatenate([rows for _, rows in blocks])
    np.testing.assert_allclose(rows, [[1, 0, 0], [0, 1, 0]], atol=1e-6)
