"""Seconds and memory until the first of a million photos is aligned, and for reading a journal.

    python benchmarks/align_planning.py

The photos are a million links to small files in 20,000 folders, in a temporary folder. The second
case continues a run that has done all of them, up to the first outcome. The growth of memory is
that of the process after its imports.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import harness

from src.align import alignment
from src.align.align_set import Source, align_set
from src.align.flags import Run
from src.align.journal import VERSION
from src.align.planning import make_job
from src.align.settings import Settings
from src.align.stages import networks
from src.formats.photo_sets import find_photos

ALLOWED_SECONDS, ALLOWED_MB = 20.0, 300.0
PHOTOS_OF_A_PERSON = 50


class Reached(Exception):
    """The first photo is to be aligned, or its outcome was read."""


def write_links(folder, count):
    """Writes `folder/p<n>/<m>.jpg`, hard links to a few files (a file has at most 65,000)."""
    for number in range(count):
        path = folder / f"person_{number // PHOTOS_OF_A_PERSON:06d}" / f"photo_{number:07d}.jpg"
        if number % PHOTOS_OF_A_PERSON == 0:
            path.parent.mkdir(parents=True)
            if number % (PHOTOS_OF_A_PERSON * 1000) == 0:
                original = path
                path.write_bytes(bytes([0xFF, 0xD8, 0xFF]))
                continue
        os.link(original, path)


def write_journal(photos, output):
    """Writes the journal of a run in which no photo had a face."""
    output.mkdir()
    settings = json.dumps({"version": VERSION, "settings": Settings()._asdict()})
    with open(output / "lst.journal", "w") as journal:
        journal.write(settings + "\n")
        for item in find_photos("lfw", str(photos)):
            name = "/".join(item.image_path.split("/")[-3:])
            key = make_job(item, name, "", Settings()).key
            journal.write(json.dumps([*key[:3], None, "no face found", True]) + "\n")


def resident_mb():
    """The largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def until_first(args, resumed):
    """Seconds and growth in MB until the first photo."""

    def reached(*_, **__):
        raise Reached

    alignment.align_group = reached
    if resumed:
        alignment.Outputs.add = reached
    with tempfile.TemporaryDirectory(dir=args.work) as work:
        photos, output = Path(work) / "photos", Path(work) / "aligned"
        write_links(photos, args.photos)
        if resumed:
            # In a process of its own, so that its memory does not count.
            if (child := os.fork()) == 0:
                write_journal(photos, output)
                os._exit(0)
            os.waitpid(child, 0)
        networks(None, "cpu")
        before, started = resident_mb(), time.perf_counter()
        try:
            align_set(Source(str(photos), "lfw"), str(output), Settings(), Run(1))
        except Reached:
            return {"seconds": time.perf_counter() - started, "MB": resident_mb() - before}
    raise RuntimeError("no photo was reached")


LIMIT = "allowed for 1,000,000 photos"
CASES = [
    harness.Case(LIMIT, lambda args: {"seconds": ALLOWED_SECONDS, "MB": ALLOWED_MB}),
    harness.Case(
        "until the first photo", lambda args: until_first(args, False), LIMIT, at_most=1.0
    ),
    harness.Case(
        "until the first outcome of a finished run",
        lambda args: until_first(args, True),
        LIMIT,
        at_most=1.0,
    ),
]


def add_arguments(parser: argparse.ArgumentParser):
    """The flags of this benchmark."""
    parser.add_argument("--photos", type=int, default=1_000_000)
    parser.add_argument("--work", help="where to make the temporary folder")


if __name__ == "__main__":
    sys.exit(
        harness.main(__file__, __doc__, CASES, add_arguments=add_arguments, better=min, rounds=1)
    )
