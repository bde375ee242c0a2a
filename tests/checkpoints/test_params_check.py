"""Array files are measured against their own size before MXNet reads them."""

import struct

import numpy as np
import pytest

from src.checkpoints.params_check import check_array_file
from src.common.errors import InputError
from src.common.mxnet_backend import mx

ARRAY = struct.pack("<IiiqqiiiI", 0xF993FAC9, 0, 2, 1, 1, 1, 0, 0, 0)


def listed(count, body, names=(b"a",)):
    ends = b"".join(struct.pack("<Q", len(name)) + name for name in names)
    return struct.pack("<QQQ", 0x112, 0, count) + body + struct.pack("<Q", len(names)) + ends


def shaped(*shape, element=0):
    form = f"<Iii{len(shape)}qiii"
    return struct.pack(form, 0xF993FAC9, 0, len(shape), *shape, 1, 0, element)


@pytest.mark.parametrize(
    "kind", ["float32", "float64", "float16", "uint8", "int32", "int8", "int64"]
)
def test_what_mxnet_writes_is_accepted(tmp_path, kind):
    path = tmp_path / "a.params"
    arrays = {f"arg:{n}": mx.nd.array(np.ones((n, 2, 3)), dtype=kind) for n in (1, 4)}
    mx.nd.save(str(path), arrays)
    check_array_file(path)
    mx.nd.save(str(path), list(arrays.values()))
    check_array_file(path)


def test_arrays_of_old_versions_are_accepted(tmp_path):
    path = tmp_path / "a.params"
    data = np.ones(6, "<f4").tobytes()
    for head in (struct.pack("<III", 2, 2, 3), struct.pack("<IIqq", 0xF993FAC8, 2, 2, 3)):
        path.write_bytes(listed(1, head + struct.pack("<iii", 1, 0, 0) + data))
        check_array_file(path)
        assert mx.nd.load(str(path))["a"].shape == (2, 3)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "needs 24 bytes"),
        (bytes(24), "magic number"),
        (struct.pack("<QQQ", 0x112, 0, 1 << 60), "arrays; at most"),
        (listed(3, ARRAY), "."),
        (listed(1, shaped(1 << 20, 1 << 20)), "needs 4398046511104 bytes"),
        (listed(1, shaped(-1, 4)), "shape"),
        (listed(1, struct.pack("<Iii", 0xF993FAC9, 0, 0)), "no shape"),
        (listed(1, struct.pack("<Iii", 0xF993FACA, 0, -1)), "no shape"),
        (listed(1, shaped(*[1] * 9)), "9 dimensions"),
        (listed(1, shaped(1, element=99) + bytes(4)), "unknown type"),
        (listed(1, struct.pack("<Ii", 0xF993FAC9, 1)), "sparse"),
        (listed(1, ARRAY, (b"a", b"b")), "1 arrays and 2 names"),
        (listed(2, ARRAY * 2, (b"a", b"a")), "same name"),
        (listed(1, ARRAY, (b"\xff",)), "UTF-8"),
        (listed(1, ARRAY)[:-9] + struct.pack("<Q", 1 << 62) + b"a", "a name of"),
    ],
)
def test_counts_shapes_and_names_that_do_not_fit_are_rejected(tmp_path, content, why):
    path = tmp_path / "a.params"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.params .*{why}"):
        check_array_file(path)


def test_the_file_of_24_bytes(shared):
    with pytest.raises(InputError):
        check_array_file(shared / "cases" / "hostile" / "params_24_bytes.params")
