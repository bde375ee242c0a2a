"""Opening data sets of millions of records: time and memory against fixed limits.

    python benchmarks/records.py

The sets are made first, in the folder of temporary files (3 GB): an index of 20 million records,
17.1 million small images of 360,232 identities, and 5.8 million of 85,742.
`MB` is the peak memory of the process, with Python and MXNet.
"""

import contextlib
import io
import resource
import sys
import tempfile
import time
from pathlib import Path

import harness
import numpy as np

MAGIC, PLAIN_IMAGE = 0xCED7230A, 60  # bytes of each image in the set that is checked
RECORD = np.dtype(
    [("magic", "<u4"), ("word", "<u4"), ("flag", "<u4"), ("label", "<f4"), ("id", "<u8"),
     ("id2", "<u8"), ("labels", "<f4", 2)]
)  # fmt: skip
MANY_IMAGES, MANY_IDENTITIES = 17_091_657, 360_232  # as Glint360K; float32 is exact up to 2^24
INDEX_LINES = 20_000_000
IMAGES, IDENTITIES = 5_800_000, 85_742
AT_A_TIME = 1_000_000
FOLDER = Path(tempfile.gettempdir()) / "benchmark-records"


def records(ids, labels, content=0):
    """Records of one size, as an array."""
    dtype = RECORD if not content else np.dtype([*RECORD.descr, ("content", "u1", content)])
    made = np.zeros(len(ids), dtype)
    made["magic"], made["word"], made["flag"] = MAGIC, 32 + content, 2
    made["id"], made["labels"] = ids, labels
    return made


def write_index(path, keys, offsets):
    """Writes lines of record number and offset."""
    with open(path, "wb") as file:
        for begin in range(0, len(keys), AT_A_TIME):
            part = slice(begin, begin + AT_A_TIME)
            pairs = zip(keys[part].tolist(), offsets[part].tolist(), strict=True)
            file.write(b"".join(b"%d\t%d\n" % pair for pair in pairs))


def ranges(images, identities):
    """The bounds of the identities' images, (C + 1,)."""
    return np.linspace(1, images + 1, identities + 1).astype(np.int64)


def make_small(folder, images, identities):
    """A set of tiny, undecodable images."""
    folder.mkdir(parents=True)
    bounds = ranges(images, identities)
    labels = np.repeat(np.arange(identities), np.diff(bounds))
    size = RECORD.itemsize + PLAIN_IMAGE
    keys = np.arange(images + identities + 1)
    with open(folder / "train.rec", "wb") as file:
        file.write(records([0], [(images + 1, images + 1 + identities)]).tobytes())
        for begin in range(0, images, AT_A_TIME):
            stop = min(begin + AT_A_TIME, images)
            pairs = np.stack([labels[begin:stop], np.ones(stop - begin)], axis=1)
            file.write(records(np.arange(begin + 1, stop + 1), pairs, PLAIN_IMAGE).tobytes())
        own = np.stack([bounds[:-1], bounds[1:]], axis=1)
        file.write(records(keys[images + 1 :], own).tobytes())
    offsets = 40 + (keys - 1) * size
    offsets[0] = 0
    offsets[images + 1 :] = 40 + images * size + 40 * np.arange(identities)
    write_index(folder / "train.idx", keys, offsets)
    (folder / "property").write_text(f"{identities},112,112\n")


def measured(function):
    """Seconds of a call, and peak memory."""
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        function()
    seconds = time.perf_counter() - began
    return {"s": seconds, "MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}


def read_index(args):
    """Reads the index of 20 million records."""
    from src.formats.records import RecordReader

    path = FOLDER / "index" / "train.idx"
    if not path.exists():
        path.parent.mkdir(parents=True)
        path.with_suffix(".rec").touch()
        keys = np.arange(INDEX_LINES)
        write_index(path, keys, keys * 8192)
    return measured(lambda: RecordReader(path.with_suffix(".rec")))


def open_set(args):
    """Opens a set for training, and begins two epochs."""
    from src.loading.face_iter import FaceImageIter

    folder = FOLDER / "large"
    if not folder.exists():
        make_small(folder, MANY_IMAGES, MANY_IDENTITIES)

    def open_and_begin():
        iterator = FaceImageIter(64, (3, 112, 112), str(folder / "train.rec"), shuffle=True, seed=1)
        bounds = ranges(MANY_IMAGES, MANY_IDENTITIES)
        assert np.array_equal(iterator.id2range.starts, bounds[:-1])
        assert np.array_equal(iterator.id2range.stops, bounds[1:])
        iterator.begin_epoch(0)
        iterator.begin_epoch(1)
        assert iterator.epoch_length() == (MANY_IMAGES // 64, MANY_IMAGES)

    return measured(open_and_begin)


def check_set(args):
    """Inspects a set as dataset_info does."""
    from src.data import record_check

    folder = FOLDER / "small"
    if not folder.exists():
        make_small(folder, IMAGES, IDENTITIES)

    def check():
        found = record_check.inspect(str(folder / "train.rec"))
        assert len(found.scan.offsets) == IMAGES
        assert found.problems == []

    return measured(check)


CASES = [
    harness.Case(
        "index of 20 M records", read_index, values_at_most={"s": 10, "MB": 600}
    ),
    harness.Case(
        "opening 17.1 M images, two epochs", open_set,
        values_at_most={"s": 15, "MB": 1000},
    ),
    harness.Case("dataset_info, 5.8 M images", check_set, values_at_most={"s": 15}),
]  # fmt: skip


if __name__ == "__main__":
    sys.exit(harness.main(__file__, __doc__, CASES, better=min, rounds=1))
