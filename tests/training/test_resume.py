"""The file of a run's state."""

import os

import numpy as np
import pytest

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.common.output_files import DiskFull
from src.training.resume import (
    check_same_run,
    read_state,
    state_path,
    write_state,
)


def test_a_state_is_read_as_it_was_written(tmp_path):
    path = state_path(tmp_path / "model")
    numbers = {"step": 7, "data": {"seq": [1, 2, 3]}, "highest": [0.5, 0.25]}
    write_state(path, {"arg:w": mx.nd.array([1.5, 2.5])}, numbers)
    arrays, read = read_state(path)
    assert read == numbers
    assert list(arrays) == ["arg:w"]
    np.testing.assert_array_equal(arrays["arg:w"].asnumpy(), [1.5, 2.5])
    assert [found.name for found in tmp_path.iterdir()] == ["model-resume.state"]


@pytest.mark.parametrize("content", [b"", b"not a state", b"\x00" * 100])
def test_a_file_that_is_not_a_state_is_rejected(tmp_path, content):
    path = tmp_path / "m-resume.state"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not the state of a run"):
        read_state(str(path))


def test_a_truncated_state_and_a_checkpoint_are_rejected(tmp_path):
    path = tmp_path / "m-resume.state"
    write_state(str(path), {"arg:w": mx.nd.ones(1000)}, {"step": 1})
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError):
        read_state(str(path))
    mx.nd.save(str(path), {"arg:w": mx.nd.ones(3)})
    with pytest.raises(InputError):
        read_state(str(path))


def test_a_failed_write_keeps_the_previous_state(tmp_path):
    path = str(tmp_path / "m-resume.state")
    write_state(path, {}, {"step": 1})
    with pytest.raises(TypeError):
        write_state(path, {}, {"step": object()})
    assert read_state(path)[1] == {"step": 1}


def test_changed_settings_are_named():
    check_same_run("m.state", {"network": "y1"}, {"network": "y1"})
    with pytest.raises(InputError, match="--network was y1, is r50"):
        check_same_run("m.state", {"network": "y1", "batch_size": 8}, {"network": "r50"})
    check_same_run("m.state", {"network": "y1"}, {"network": "y1", "of_a_later_version": 1})


def test_settings_that_are_no_flags_are_named_in_words():
    with pytest.raises(InputError, match=r"\(the number of devices was 1, is 2\)"):
        check_same_run("m.state", {"ctx_num": 1}, {"ctx_num": 2})


def test_a_state_on_a_full_disk_leaves_the_old_one(tiny_disk):
    """Also if only the last bytes do not fit, which MXNet does not notice."""
    path = state_path(tiny_disk / "m")
    write_state(path, {"arg:w": mx.nd.ones(100)}, {"step": 1})
    free = os.statvfs(tiny_disk).f_bavail * 4096
    for size in (free // 4 - 30, 4 * free):
        with pytest.raises(DiskFull, match=rf"no space for {path}, which needs [\d,]+ bytes"):
            write_state(path, {"arg:w": mx.nd.ones(size)}, {"step": 2})
    assert read_state(path)[1] == {"step": 1}
    assert os.listdir(tiny_disk) == ["m-resume.state"]
