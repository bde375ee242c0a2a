"""Reads mutated files: each is read, or raises the documented error, in bounded time and memory.

    python tests/fuzz/fuzz_readers.py --cases 1000 --seed 0
    python tests/fuzz/fuzz_readers.py --reader bin --cases 1 --seed 17     # one case again

Case i of a reader has the seed SEED + i. The first line of a case is printed before it is read, so
that a crash or a hang names it.
"""

import argparse
import contextlib
import io
import json
import logging
import os
import pickle
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from types import SimpleNamespace

import numpy as np
from PIL import Image

from src.align.journal import Journal, Key, Outcome
from src.align.jpeg_2018 import read_photo_2018
from src.checkpoints.files import load_checkpoint
from src.checkpoints.saved_graphs import read_graph
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.common.photos import decode_stored, read_photo
from src.data.centre_store import CentreStore
from src.data.name_table import NameTable
from src.data.pairs import read_pairs
from src.data.record_check import inspect
from src.data.training_lists import read_listed_photos
from src.eval.pairs import load_pairs
from src.eval.training_log import read_training_log
from src.formats.face_layout import open_face_records
from src.formats.face_records import FaceRecordWriter
from src.formats.property import load_property
from src.formats.records import read_index
from src.training.resume import read_state, write_state

SECONDS, MEMORY = 20, 6_000_000 << 10  # per case; of address space, of which MXNet takes 2 GB
DOCUMENTED = (InputError, OSError)


def photo(format_, side=24):
    y, x = np.mgrid[:side, :side]
    pixels = np.stack([9 * x, 9 * y, 200 - 3 * x], axis=2).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format_)
    return buffer.getvalue()


def write_records(folder, seed):
    with FaceRecordWriter(os.path.join(folder, "train.rec")) as writer:
        for label in (0, 0, 1, 2):
            writer.add_image([label, 1], photo("JPEG"))
    write(folder, "property", b"3,24,24")


def write(folder, name, content):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(content)


def network():
    data = mx.sym.var("data")
    parts = mx.sym.SliceChannel(data, num_outputs=3, name="parts")
    body = mx.sym.Convolution(parts[0] + parts[2], kernel=(3, 3), num_filter=4, name="conv")
    body = mx.sym.LeakyReLU(mx.sym.BatchNorm(body, name="bn"), act_type="prelu", name="relu")
    return mx.sym.BatchNorm(mx.sym.FullyConnected(body, num_hidden=4, name="pre"), name="fc1")


def write_checkpoint(folder, seed):
    prefix = os.path.join(folder, "model")
    network().save(f"{prefix}-symbol.json")
    names = ("arg:conv_weight", "arg:pre_bias", "aux:bn_moving_mean")
    mx.nd.save(f"{prefix}-0001.params", {name: mx.nd.ones((3, 2)) for name in names})


def write_run_state(folder, seed):
    numbers = {"epoch": 1, "data": {"seed": 2, "batch": 3}}
    write_state(os.path.join(folder, "run.state"), {"w": mx.nd.ones((2, 3))}, numbers)


def write_centres(folder, seed):
    path = os.path.join(folder, "centres-0.npz")
    np.savez(path, centres=np.ones((3, 4)), bad=np.arange(2))


def read_centres(folder):
    CentreStore._path = lambda self, face_set: os.path.join(folder, "centres-0.npz")
    CentreStore(folder, "model,1", ((24, 24), 2)).load(SimpleNamespace(ranges=[(1, 2)] * 3))


def write_bin(folder, seed):
    value = ([photo("JPEG"), photo("PNG")] * 4, [True, False] * 2)
    if seed % 3 == 0:
        value = ([np.frombuffer(image, np.uint8) for image in value[0]], np.array(value[1]))
    write(folder, "a.bin", pickle.dumps(value, seed % 5))


def write_journal(folder, seed):
    with Journal(os.path.join(folder, "a.journal"), {"face": "first"}).open() as journal:
        for number in range(3):
            journal.add(Key(f"p/{number}.jpg", "1-2", ""), Outcome(number, ""))


def read_journal(folder):
    journal = Journal(os.path.join(folder, "a.journal"), {"face": "first"})
    for number in range(3):
        journal.outcome(Key(f"p/{number}.jpg", "1-2", ""), folder)


def read_record_files(folder):
    path = os.path.join(folder, "train.rec")
    for read in (lambda: inspect(path, decode=True), lambda: read_all(folder)):
        with contextlib.suppress(*DOCUMENTED):
            read()


def read_all(folder):
    reader, layout = open_face_records(folder)
    with reader:
        for index in layout.image_ids:
            decode_stored(reader.read(index).content)


def read_image_file(folder):
    path = os.path.join(folder, "a.jpg")
    with open(path, "rb") as file:
        decode_stored(file.read())
    for read in (read_photo, read_photo_2018):
        with contextlib.suppress(*DOCUMENTED):
            read(path)


LIST = b"1\ta/b.jpg\t0\n0\tc.jpg\t1\t1\t2\t30\t40" + b"\t5.5" * 10 + b"\n"
TABLE = b"old\tnew\tstate\np/a\t0001/0001.jpg\tdone\np/b\t0001/0002.jpg\tskipped: no photo\n"
LOG = (
    b"INFO:root:100 images, 5 batches of 20 an epoch\n"
    b"INFO:root:Epoch[0] Batch [20]\tSpeed: 12.50 samples/sec\tacc=0.5\tlossvalue=1e-3\n"
    b"[lfw][2000]Accuracy-Flip: 0.99483+-0.00418\n"
)
FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "GIF",
    "TIFF",
    "BMP",
    "PPM",
    "TGA",
    "ICO",
    "PCX",
    "DDS",
    "JPEG2000",
)


def reading(name, read):
    """A reader of one file in a folder, by its path."""
    return name, lambda folder: read(os.path.join(folder, name))


def writing(name, content):
    return lambda folder, seed: write(folder, name, content)


def write_photo(folder, seed):
    write(folder, "a.jpg", photo(FORMATS[seed % len(FORMATS)]))


PAIRS = b"10\t300\nann\t1\t4\nann\t1\tbob\t2\na.jpg\tb.jpg\t0\n"
# Reader: (writes a valid file, the name that is mutated, reads it). Both take the folder.
READERS = {
    "list": (writing("a.lst", LIST), *reading("a.lst", read_listed_photos)),
    "property": (writing("property", b"85742,112,112"), "property", load_property),
    "idx": (write_records, *reading("train.idx", read_index)),
    "idx and rec": (write_records, "train.idx", read_record_files),
    "rec": (write_records, "train.rec", read_record_files),
    "bin": (write_bin, *reading("a.bin", lambda path: load_pairs(path, (24, 24)))),
    "pairs": (writing("pairs.txt", PAIRS), *reading("pairs.txt", read_pairs)),
    "image": (write_photo, "a.jpg", read_image_file),
    "symbol": (write_checkpoint, *reading("model-symbol.json", read_graph)),
    "params": (
        write_checkpoint,
        "model-0001.params",
        lambda folder: load_checkpoint(os.path.join(folder, "model"), 1),
    ),
    "state": (write_run_state, *reading("run.state", read_state)),
    "npz": (write_centres, "centres-0.npz", read_centres),
    "names": (writing("names.tsv", TABLE), *reading("names.tsv", NameTable.read)),
    "journal": (write_journal, "a.journal", read_journal),
    "log": (writing("train.log", LOG), *reading("train.log", read_training_log)),
}

EXTREMES = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1]
PIECES = [
    *(b"\0", b"\xff" * 8, "²".encode(), b"9" * 30, b"-1", b"1e999", b"nan", b"[" * 5000, b"../x"),
    *(b"\x1b[2J", b"\n", b"\t", b"\xce\xd7\x23\x0a", b"\x0a\x23\xd7\xce", b"{", b"100", b",,"),
]


def mutated(content, random):
    """The bytes after one to four random changes."""
    data = bytearray(content)
    for _ in range(random.randint(1, 5)):
        if not data:
            return b""
        at = random.randint(len(data))
        kind = random.randint(7)
        if kind == 0:
            data[at] ^= 1 << random.randint(8)
        elif kind == 1:
            data[at] = random.randint(256)
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at : at + random.randint(1, 16)]
        elif kind == 4:
            end = at + random.randint(1, 64)
            data[at:at] = data[at:end] * random.choice([1, 2, 200])
        elif kind == 5:
            width = int(random.choice([1, 2, 4, 8]))
            value = EXTREMES[random.randint(len(EXTREMES))] & ((1 << 8 * width) - 1)
            data[at : at + width] = value.to_bytes(width, random.choice(["little", "big"]))
        else:
            data[at:at] = PIECES[random.randint(len(PIECES))]
    return bytes(data)


def run_case(reader, seed):
    """The traceback of an undocumented error; None if the file was read, or rejected properly."""
    make, name, read = READERS[reader]
    with tempfile.TemporaryDirectory() as folder:
        make(folder, seed)
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            content = mutated(file.read(), np.random.RandomState(seed))
        with open(path, "wb") as file:
            file.write(content)
        signal.alarm(SECONDS)  # its default action ends the process, also inside of C code
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                read(folder)
        except DOCUMENTED:
            return None
        except BaseException:
            return traceback.format_exc()
        finally:
            signal.alarm(0)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="per reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", choices=list(READERS))
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    failed = 0
    for reader in [args.reader] if args.reader else READERS:
        slowest = (0.0, 0)
        for seed in range(args.seed, args.seed + args.cases):
            print(json.dumps({"reader": reader, "seed": seed}), flush=True)
            began = time.monotonic()
            error = run_case(reader, seed)
            slowest = max(slowest, (time.monotonic() - began, seed))
            if error:
                failed += 1
                print(f"{error}again: --reader '{reader}' --cases 1 --seed {seed}", flush=True)
        print(f"{reader}: {args.cases} cases, slowest {slowest[0]:.2f} s (seed {slowest[1]})")
    print(f"{failed} undocumented errors")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
