"""The property file."""

import pytest

from src.common.errors import InputError
from src.formats.property import load_property, write_property


def test_property_is_read_back_and_has_the_bytes_of_2018(tmp_path):
    write_property(str(tmp_path / "property"), 85742, (112, 96))
    assert (tmp_path / "property").read_bytes() == b"85742,112,96"
    loaded = load_property(str(tmp_path))
    assert loaded.num_classes == 85742
    assert loaded.image_size == [112, 96]


def test_missing_property_shows_an_example(tmp_path):
    with pytest.raises(FileNotFoundError, match="85742,112,112"):
        load_property(str(tmp_path))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such folder"):
        load_property(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "text", ["", "12,112", "a,112,112", "0,112,112", "1,2,3\n4,5,6", "1,2,3,4"]
)
def test_a_wrong_property_is_quoted(tmp_path, text):
    (tmp_path / "property").write_text(text)
    with pytest.raises(InputError, match="expected one line classes,height,width"):
        load_property(str(tmp_path))


def test_property_with_blank_lines_is_read(tmp_path):
    (tmp_path / "property").write_text("\n12, 112,112\r\n\n")
    assert load_property(str(tmp_path)).num_classes == 12
