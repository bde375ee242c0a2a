"""Numbers and lengths in data set files that no program writes."""

import struct
import time

import numpy as np
import pytest

from src.common.errors import InputError
from src.data.pairs import read_pairs
from src.data.record_check import inspect, rebuild, scan_images
from src.data.unpacking import unpack
from src.eval.report_pictures import chart_tag, literal, new_chart
from src.formats.lists import parse_lst_line
from src.formats.property import load_property
from src.formats.record_scan import scan_records
from src.formats.recordio import HEADER, MAGIC, encode_record
from src.formats.records import read_index


@pytest.mark.parametrize("text", ["1\t18446744073709551615", "1\t\0", "²\t0", "1\t" + "9" * 5000])
def test_an_index_with_other_numbers_is_an_input_error(tmp_path, text):
    path = tmp_path / "train.idx"
    path.write_text(text)
    with pytest.raises(InputError, match="not an index"):
        read_index(path)


@pytest.mark.parametrize(
    "line",
    ["1\ta\0b\t0", "1\ta\t²", "1\ta\t" + "9" * 30, "1\ta\t" + "9" * 5000,
     "0\ta\t0\t0\t0\t1e300\t9", "0\ta\t0\t0\t0\t1e9\t9", "\0\ta\t1"],
)  # fmt: skip
def test_a_list_line_with_other_numbers_is_an_input_error(line):
    with pytest.raises(InputError, match="list line"):
        parse_lst_line(line)


@pytest.mark.parametrize("label", [np.nan, np.inf, 1e30])
def test_records_with_other_labels_and_ids_are_reported(tmp_path, label):
    path = tmp_path / "a.rec"
    content = HEADER.pack(0, label, (1 << 64) - 1, 0) + b"\xff\xd8\xff"
    path.write_bytes(encode_record(content))
    scan = scan_images(str(path))
    assert scan.ids.tolist() == [(1 << 64) - 1]
    assert any("not identities" in problem.what for problem in inspect(str(path)).problems)
    with pytest.raises(InputError, match="not identities"):
        rebuild(str(path), scan, str(tmp_path / "new.rec"))
    if label != 1e30:
        with pytest.raises(InputError, match="not numbers"):
            unpack(str(path), scan, str(tmp_path / "images"))


@pytest.mark.parametrize("text", ["²,112,112", "9" * 5000 + ",1,1", "5,112,99999999999", "1,\0,1"])
def test_a_property_with_other_numbers_is_an_input_error(tmp_path, text):
    (tmp_path / "property").write_text(text)
    with pytest.raises(InputError, match="property: expected one line"):
        load_property(str(tmp_path))


def test_pairs_with_another_digit_are_an_input_error(tmp_path):
    (tmp_path / "pairs.txt").write_text("²\na\t²\t1\n")
    with pytest.raises(InputError, match="line 1"):
        read_pairs(tmp_path / "pairs.txt")


def test_many_damaged_lengths_take_time_for_the_size_of_the_file_only(tmp_path):
    path = tmp_path / "a.rec"
    path.write_bytes((MAGIC + struct.pack("<I", (1 << 29) - 1)) * 20_000)
    began = time.monotonic()
    assert all(record.damage for record in scan_records(path))
    first, middle = struct.pack("<I", 1 << 29 | 4), struct.pack("<I", 2 << 29 | 4)
    path.write_bytes(MAGIC + first + bytes(4) + (MAGIC + middle + bytes(4)) * 100_000)
    assert all(record.damage for record in scan_records(path))
    assert time.monotonic() - began < 20  # some 0.5 s; it was proportional to the square


def test_a_name_with_dollars_is_no_formula():
    figure, axes = new_chart("$x_{$", "x", "y")
    axes.plot([1], [1], label=literal("$y_{$"))
    axes.legend()
    assert "<svg" in chart_tag(figure)
