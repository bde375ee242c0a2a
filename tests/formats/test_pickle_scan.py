"""Pickles that would hang, or use gigabytes, are rejected by their opcodes."""

import io
import pickle
import struct

import numpy as np
import pytest

from src.formats.pickle_scan import DEEPEST, MOST_KEYS, MOST_OPCODES, check_pickle
from src.formats.plain_pickle import load_plain

PICKLES = {
    "a shared tuple": b"\x80\x02)\x85q\x00h\x00h\x00\x86.",
    "DUP": b"\x80\x02)2\x86.",
    "memo": b"\x80\x02Nr" + struct.pack("<I", 1 << 28) + b".",
    "text memo": b"Np-1\n.",
    "unknown memo": b"\x80\x02h\x05.",
    "nested": b"\x80\x02" + b"]" * (DEEPEST + 1) + b"a" * DEEPEST + b".",
    "nested tuples": b"\x80\x02N" + b"\x85" * 100_000 + b".",
    "a tuple as key": b"\x80\x02})Ns.",
    "a list as key": b"\x80\x02}(]Nu.",
    "keys": b"\x80\x02}(" + b"NN" * (MOST_KEYS + 1) + b"u.",
    "opcodes": b"\x80\x02" + b"]0" * (MOST_OPCODES // 2) + b".",
    "a set": b"\x80\x04\x8f.",
    "an instance": b"(i__builtin__\nbytes\n.",
    "a long number": b"\x80\x02\x8a\x64" + b"\x01" * 100 + b".",
    "a longer text number": b"L" + b"9" * 100_000 + b"L\n.",
    "underflow": b"\x80\x02a.",
    "underflow below a mark": b"\x80\x02N(\x85.",
    "no mark": b"\x80\x02t.",
    "cut off": b"\x80\x02N",
    "unknown": b"\x80\x02\xff.",
    "length": b"\x80\x02B" + struct.pack("<I", 1 << 31) + b"x.",
    "persistent": b"\x80\x02Nq\x00Q.",
}  # fmt: skip


@pytest.mark.parametrize("content", PICKLES.values(), ids=PICKLES.keys())
def test_time_and_memory_bombs_are_rejected(content):
    with pytest.raises((ValueError, pickle.UnpicklingError)):
        check_pickle(content)


def test_repeated_bytes_are_limited():
    text = b"X" + struct.pack("<I", 1 << 20) + bytes(1 << 20) + b"q\x000"
    with pytest.raises(pickle.UnpicklingError, match="repeats"):
        check_pickle(b"\x80\x02(" + text + b"h\x00" * 2000 + b"t.")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_picklers_write_is_accepted(protocol):
    image = b"\xff\xd8 an image" * 20
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    values = [
        ([image, image, bytes(5)], [True, False]),
        ([array, array], [np.True_, np.False_]),
        {str(layer): {"weights": array.astype("f4")} for layer in range(20)},
        dict.fromkeys(range(MOST_KEYS)),
        [1.5, -1, 1 << 40, None, "text", ("a", ("b",))],
    ]
    for value in values:
        content = pickle.dumps(value, protocol)
        check_pickle(content)
        load_plain(io.BytesIO(content))


def test_the_pickles_that_hung(shared):
    for name in ("longbinput_4GB.bin", "bin_bomb_as_key_of_a_dict__hash_"):
        with (
            open(shared / "cases" / "hostile" / name, "rb") as file,
            pytest.raises(pickle.UnpicklingError),
        ):
            load_plain(file)


@pytest.mark.parametrize(
    "value",
    [
        b"\x80\x02cnumpy\ndtype\nX\x16\x00\x00\x00(99999999,)f4,(9,)i4,f8q\x00\x85R.",
        b"\x80\x02ccollections\nOrderedDict\n\x4b\x05\x85R.",
    ],
)
def test_types_and_dicts_of_anything_else_are_rejected(value):
    with pytest.raises((pickle.UnpicklingError, AttributeError, ValueError)):
        load_plain(io.BytesIO(value)).dtype()
