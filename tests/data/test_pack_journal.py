"""A packing that was stopped on the way continues, with the bytes of one that was not."""

import os

import cv2
import numpy as np
import pytest

from src.common.errors import InputError
from src.data import face2rec2, packing

PHOTOS, CHUNK = 22, 4


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(packing, "CHUNK", CHUNK)


@pytest.fixture
def folder(tmp_path):
    """22 aligned faces of 3 people, of which two cannot be decoded."""
    generator = np.random.default_rng(0)
    lines = []
    for number in range(PHOTOS):
        path = tmp_path / f"{number:02d}.jpg"
        cv2.imwrite(str(path), generator.integers(0, 256, (112, 112, 3), np.uint8))
        if number in (1, 9):
            path.write_bytes(b"not a photo")
        lines.append(f"1\t{path}\t{number // 8}\n")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.lst").write_text("".join(lines))
    (tmp_path / "set" / "property").write_text("3,112,112\n")
    return tmp_path / "set"


def pack(folder):
    face2rec2.main([str(folder)])
    return (folder / "train.rec").read_bytes(), (folder / "train.idx").read_bytes()


@pytest.fixture
def interrupt(monkeypatch):
    """Ctrl-C at a chunk; returns the chunks that were encoded, by the line of their first photo."""

    def run(folder, at=99):
        encoded = []
        encode = packing.encode_chunk

        def stop(task):
            if len(encoded) == at:
                raise KeyboardInterrupt
            encoded.append(task[0][0][0])
            return encode(task)

        with monkeypatch.context() as patch:
            patch.setattr(packing, "encode_chunk", stop)
            if at < 99:
                with pytest.raises(KeyboardInterrupt):
                    pack(folder)
            else:
                pack(folder)
        return encoded

    return run


def contents(folder):
    return {name: (folder / name).read_bytes() for name in sorted(os.listdir(folder))}


def test_a_stopped_run_continues_with_equal_bytes(folder, interrupt):
    expected = pack(folder)
    files = contents(folder)
    assert list(files) == ["property", "train.idx", "train.lst", "train.rec", "train.skipped.tsv"]
    for name in ("train.rec", "train.idx", "train.skipped.tsv"):
        (folder / name).unlink()
    assert interrupt(folder, at=3) == [1, 5, 9]
    assert not (folder / "train.rec").exists()
    assert interrupt(folder, at=1) == [13]
    assert interrupt(folder) == [17, 21]
    assert contents(folder) == files
    assert pack(folder) == expected


def test_the_earlier_run_is_kept_until_this_one_has_more(folder, interrupt):
    """Killed while it still takes over what the earlier one had."""
    expected = pack(folder)
    interrupt(folder, at=4)
    os.replace(folder / ".train.rec.part", folder / ".train.rec.packed")
    os.replace(folder / ".train.rec.journal", folder / ".train.rec.packed.journal")
    (folder / ".train.rec.part").write_bytes(b"the first record")
    (folder / ".train.rec.journal").write_text("")
    assert interrupt(folder) == [17, 21]
    assert pack(folder) == expected


def test_changed_photos_lists_and_settings_are_packed_again(folder, interrupt):
    interrupt(folder, at=4)
    photo = folder.parent / "06.jpg"
    cv2.imwrite(str(photo), np.full((112, 112, 3), 9, np.uint8))
    os.utime(photo, (1_000_000_000, 1_000_000_000))
    assert interrupt(folder) == [5, 9, 13, 17, 21]
    interrupt(folder, at=4)
    lines = (folder / "train.lst").read_text().splitlines(keepends=True)
    (folder / "train.lst").write_text("".join(lines[:2] + lines[3:]))
    assert interrupt(folder)[0] == 1
    interrupt(folder, at=4)
    (folder / "property").write_text("3,112,96\n")
    with pytest.raises(InputError, match="none of 21 photos can be packed"):
        pack(folder)
    assert not [name for name in os.listdir(folder) if name.startswith(".")]


@pytest.mark.parametrize("damage", ["cut", "zeros", "journal"])
def test_what_a_power_failure_has_damaged_is_packed_again(folder, interrupt, damage):
    expected = pack(folder)
    interrupt(folder, at=4)
    part, journal = folder / ".train.rec.part", folder / ".train.rec.journal"
    content = part.read_bytes()
    if damage == "cut":
        part.write_bytes(content[: len(content) // 2])
    elif damage == "zeros":
        middle = len(content) // 2
        part.write_bytes(content[:middle] + bytes(len(content) - middle))
    else:
        journal.write_text(journal.read_text().splitlines()[0] + "\n[1, 2")
    encoded = interrupt(folder)
    assert 2 <= len(encoded) < 6
    assert encoded[-1] == 21
    assert pack(folder) == expected
