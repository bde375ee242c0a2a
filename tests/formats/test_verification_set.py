"""Verification sets: pickles of Python 2 and 3 are read, but nothing that could run code."""

import os
import pickle
import pickletools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.common.errors import InputError
from src.formats.verification_set import read_bin, write_bin

IMAGES = [b"a", b"", b"\xff\xd8x", b"d" * 300]
SAME = [True, False]


@given(images=st.lists(st.tuples(st.binary(max_size=300), st.binary(max_size=9)), min_size=1))
@settings(deadline=None, max_examples=50)
def test_round_trip(tmp_path_factory, images):
    path = tmp_path_factory.mktemp("bins") / "a.bin"
    issame = [len(first) > 3 for first, _ in images]
    flat = [image for pair in images for image in pair]
    write_bin(path, iter(flat), issame)
    assert read_bin(path) == (flat, issame)
    with open(path, "rb") as file:
        assert pickle.load(file, encoding="bytes") == (flat, issame)


def test_python_2_reads_what_is_written(tmp_path):
    write_bin(tmp_path / "a.bin", IMAGES, SAME)
    names = {code.name for code, _, _ in pickletools.genops((tmp_path / "a.bin").read_bytes())}
    # All of them are opcodes of protocol 2; BINSTRING is Python 2's str.
    assert all(code.proto <= 2 for code in pickletools.opcodes if code.name in names)
    assert "BINSTRING" in names


def test_python_2_pickles_are_read(tmp_path):
    # pickle.dump((['a', '\xff\xd8'], [True]), file, protocol) of Python 2.7, protocols 0 and 2
    for content in (
        b"((lp0\nS'a'\np1\naS'\\xff\\xd8'\np2\na(lp3\nI01\natp4\n.",
        b"\x80\x02]q\x00(U\x01aq\x01U\x02\xff\xd8q\x02e]q\x03\x88a\x86q\x04.",
    ):
        (tmp_path / "a.bin").write_bytes(content)
        assert read_bin(tmp_path / "a.bin") == ([b"a", b"\xff\xd8"], [True])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "content",
    [
        (IMAGES, SAME),
        [tuple(IMAGES), np.array(SAME)],
        ([np.frombuffer(image, np.uint8) for image in IMAGES], [np.bool_(1), 0]),
        (np.array(IMAGES, object), np.array(SAME, int)),
        ([bytearray(image) for image in IMAGES], (np.float32(1), np.int64(0))),
        (IMAGES, np.asfortranarray([SAME, SAME])[0]),
    ],
)
def test_plain_data_of_any_protocol_is_read(tmp_path, content, protocol):
    (tmp_path / "a.bin").write_bytes(pickle.dumps(content, protocol))
    assert read_bin(tmp_path / "a.bin") == (IMAGES, SAME)


class Runs:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    ("function", "argument", "name"),
    [(os.mkdir, "ran", "mkdir"), (eval, "1", "eval"), (np.load, "x", "load"), (dict, (), "dict")],
)
def test_a_pickle_that_names_other_functions_is_rejected(
    tmp_path, monkeypatch, function, argument, name, protocol
):
    monkeypatch.chdir(tmp_path)
    bad = ([Runs(function, argument), b""], [True])
    (tmp_path / "a.bin").write_bytes(pickle.dumps(bad, protocol))
    with pytest.raises(InputError, match=rf"it names \w+[\w.]*\.{name}, which could run code"):
        read_bin("a.bin")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\xff\xd8\xff\xe0 a photo",
        b"\x80\x04\x95",
        pickle.dumps({}),
        pickle.dumps(3),
        pickle.dumps((IMAGES, SAME, 1)),
        pickle.dumps(([1, 2], [True])),
        pickle.dumps(([np.zeros(3)] * 2, [True])),
        pickle.dumps((np.zeros(2, [("a", int)]), [True])),
        # An attribute set on a replacement, and a dtype with a forged layout.
        b"\x80\x02cnumpy\ndtype\n}U\x01ai\x01sb.",
        b"\x80\x02cnumpy\ndtype\nU\x02V8\x85R(K\x03U\x01|NNNK\x08K\x01K?tb.",
    ],
)
def test_anything_else_is_rejected_in_one_line(tmp_path, content):
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.bin is not a verification set") as caught:
        read_bin(tmp_path / "a.bin")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("images", "issame"), [(IMAGES, [True]), ([], []), (IMAGES[:3], SAME)])
def test_the_numbers_of_pairs_and_images_must_match(tmp_path, images, issame):
    (tmp_path / "a.bin").write_bytes(pickle.dumps((images, issame)))
    with pytest.raises(InputError, match=rf"{len(issame)} pairs need {2 * len(issame)} images"):
        read_bin(tmp_path / "a.bin")


def test_writing_too_few_images_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="2 pairs need 4 images, got 3"):
        write_bin(tmp_path / "a.bin", IMAGES[:3], SAME)
    assert list(tmp_path.iterdir()) == []
