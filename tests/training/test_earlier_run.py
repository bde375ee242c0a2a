"""A used `--prefix`: refused, or its files moved aside."""

import os

import pytest

from src.common.errors import InputError
from src.training.earlier_run import earlier_files, lock_path, move_aside, refuse_earlier_run


def touch(folder, *names):
    for name in names:
        (folder / name).write_text(name)


def test_only_the_files_of_the_prefix_belong_to_its_run(tmp_path):
    touch(tmp_path, "m-symbol.json", "m-0001.params", "m-0012.params", "m-resume.state")
    touch(tmp_path, "m2-0001.params", "m-b-0001.params", "train.log", "m.onnx")
    names = [os.path.basename(path) for path in earlier_files(str(tmp_path / "m"))]
    assert sorted(names) == ["m-0001.params", "m-0012.params", "m-resume.state", "m-symbol.json"]


@pytest.mark.parametrize(
    ("names", "resume", "message"),
    [
        (["m-resume.state"], False, "use --resume to continue that run, use --start-over"),
        (["m-0001.params"], False, "exist: use --start-over to move its files aside"),
        (["m-symbol.json"], False, "exist: use --start-over to move its files aside"),
        (["m-0001.params", "m-symbol.json"], True, "without the .*m-resume.state that --resume"),
        (["m-0001.params", "m-resume.state"], True, None),
        (["other-0001.params"], False, None),
        ([], False, None),
        ([], True, None),
    ],
)
def test_a_used_prefix_is_refused(tmp_path, names, resume, message):
    touch(tmp_path, *names)
    prefix = str(tmp_path / "m")
    if message is None:
        refuse_earlier_run(prefix, resume)
    else:
        with pytest.raises(InputError, match=f"--prefix {prefix} is in use.*{message}"):
            refuse_earlier_run(prefix, resume)


def test_moving_aside_keeps_every_file_and_every_earlier_folder(tmp_path):
    prefix = str(tmp_path / "m")
    for number in (1, 2):
        touch(tmp_path, "m-symbol.json", "m-0001.params", "m-resume.state", "n-0001.params")
        move_aside(prefix)
        aside = tmp_path / f"m.old-{number}"
        assert sorted(os.listdir(aside)) == ["m-0001.params", "m-resume.state", "m-symbol.json"]
        assert earlier_files(prefix) == []
    move_aside(prefix)
    assert sorted(os.listdir(tmp_path)) == ["m.old-1", "m.old-2", "n-0001.params"]


def test_the_lock_is_a_hidden_file_next_to_the_checkpoints():
    assert lock_path("../model/r50") == "../model/.r50.lock"
    assert lock_path("r50") == ".r50.lock"
