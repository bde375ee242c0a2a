"""A mistake of the user ends a command with one line and a status other than 0."""

import os
import pickle
import shutil

import cv2
import numpy as np
import pytest

from src import export, train_softmax, train_triplet
from src.align import align_megaface
from src.checkpoints.files import save_checkpoint
from src.common.errors import run_command
from src.common.mxnet_backend import mx
from src.data import (
    dataset_info,
    dataset_merge,
    face2rec2,
    glint2lst,
    hold_out,
    lfw2pack,
    rename_photos,
)
from src.eval import report, verification
from src.formats.verification_set import write_bin


class Runs:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def drop_header(folder):
    lines = (folder / "train.idx").read_text().splitlines(keepends=True)
    (folder / "train.idx").write_text("".join(line for line in lines if line[:2] != "0\t"))


def empty_index(folder):
    (folder / "train.idx").write_text("")


def garble_property(folder):
    (folder / "property").write_text("8;112;112")


def reduce_classes(folder):
    (folder / "property").write_text("5,112,112")


def remove_property(folder):
    (folder / "property").unlink()


def write_wrong_list(folder):
    (folder / "train.lst").write_text("1\ta.jpg\t0\n1 b.jpg 1\n")


def write_code(folder):
    (folder / "pairs.bin").write_bytes(pickle.dumps(([Runs(), b""], [True])))


def write_file(folder):
    (folder.parent / "m-1").touch()


def write_blocks(folder):
    picture = cv2.imencode(".jpg", np.zeros((112, 112, 3), np.uint8))[1].tobytes()
    write_bin(folder / "x.bin", [picture] * 40, [True] * 10 + [False] * 10)


def keep(folder):
    pass


TRAIN = ["--data-dir", "set", "--prefix", "out/m", "--network", "y1", "--version-output", "GDC"]
VERIFY = ["--data-dir", "set", "--target", "pairs", "--model", "m,1"]
MERGE = ["--include", "set", "--output", "out", "--model", "", "--param1", "0"]
ALIGN = ["--name", "webface", "--output-dir", "out"]

CASES = [
    (train_softmax, TRAIN, drop_header, ["headerless", "--rebuild"]),
    (train_softmax, TRAIN, empty_index, ["train.idx is empty", "--rebuild"]),
    (train_softmax, TRAIN, garble_property, ["set/property", "'8;112;112'", "85742,112,112"]),
    (train_softmax, TRAIN, reduce_classes, ["property has 5 classes", "8 identities"]),
    (train_softmax, TRAIN, remove_property, ["set/property is missing", "classes,height,width"]),
    (train_softmax, [*TRAIN, "--data-dir", "nowhere"], keep, ["--data-dir nowhere"]),
    (train_softmax, [*TRAIN, "--pretrained", "m,7"], keep, ["m-0007.params", "m,1"]),
    (train_softmax, [*TRAIN, "--prefix", "out/"], keep, ["--prefix out/", "--prefix out/model"]),
    (train_softmax, [*TRAIN, "--prefix", "m-1/m"], write_file, ["--prefix m-1", "cannot write"]),
    (train_softmax, [*TRAIN, "--pretrained", "set"], keep, ["set is a folder without"]),
    (train_softmax, [*TRAIN, "--target", "x"], write_blocks, ["x.bin: fold 1", "lfw2pack"]),
    (train_triplet, TRAIN, drop_header, ["headerless", "--rebuild"]),
    (verification, [*VERIFY, "--data-dir", "nowhere"], keep, ["nowhere: there is no such folder"]),
    (verification, [*VERIFY, "--model", "m,7"], keep, ["m-0007.params", "m,1"]),
    (verification, [*VERIFY, "--target", "lfw"], keep, ["lfw.bin", "pairs"]),
    (verification, [*VERIFY, "--output", "m-1/r"], write_file, ["--output m-1/r: cannot write"]),
    (verification, [*VERIFY, "--output", "set"], keep, ["--output set: this is a folder"]),
    (dataset_merge, [*MERGE, "--output", "m-1/r"], write_file, ["--output m-1/r: cannot"]),
    (report, ["--work", "set", "--output", "m-1/r"], write_file, ["--output m-1/r: cannot"]),
    (export, ["--model", "m,1", "--output", "m-1/r"], write_file, ["--output m-1/r: cannot"]),
    (dataset_info, ["set", "--rebuild", "m-1/r"], write_file, ["--rebuild m-1/r: cannot write"]),
    (dataset_info, ["set", "--unpack", "m-1/r"], write_file, ["--unpack m-1/r: cannot write"]),
    (glint2lst, ["set", "--output", "m-1/r"], write_file, ["--output m-1/r: cannot write"]),
    (hold_out, ["set/t.lst", "--output", "m-1/r", "--pairs", "p"], write_file, ["m-1/r: cannot"]),
    (hold_out, ["set/t.lst", "--output", "o", "--pairs", "m-1/p"], write_file, ["m-1/p: cannot"]),
    (lfw2pack, ["--data-dir", "set", "--output", "m-1/r"], write_file, ["m-1/r: cannot write"]),
    (verification, VERIFY, garble_property, ["set/property", "'8;112;112'"]),
    (verification, VERIFY, write_code, ["pairs.bin", "mkdir", "could run code"]),
    (dataset_merge, MERGE, drop_header, ["headerless", "--rebuild"]),
    (dataset_merge, [*MERGE, "--include", "nowhere"], keep, ["nowhere: no such folder"]),
    (face2rec2, ["set/train"], write_wrong_list, ["train.lst: line 2", "expected 3, 7 or 17"]),
    (face2rec2, ["set/other"], write_wrong_list, ["Did not find", "glint2lst"]),
    (
        hold_out,
        ["set/train.lst", "--output", "out", "--pairs", "out/p"],
        write_wrong_list,
        ["train.lst: line 2", "expected 3, 7 or 17"],
    ),
    (glint2lst, ["nowhere"], keep, ["nowhere"]),
    (lfw2pack, ["--data-dir", "nowhere", "--output", "o.bin"], keep, ["--data-dir nowhere"]),
    (rename_photos, ["--input-dir", "nowhere", "--output-dir", "out"], keep, ["nowhere"]),
    (align_megaface, ["--input-dir", "nowhere", *ALIGN], keep, ["nowhere: there is no such"]),
]


@pytest.mark.parametrize(("command", "arguments", "spoil", "words"), CASES)
def test_a_mistake_ends_with_one_line(
    learnable_set, tmp_path, monkeypatch, capsys, command, arguments, spoil, words
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(learnable_set, "set")
    spoil(tmp_path / "set")
    symbol = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc1")
    weights = {"fc1_weight": mx.nd.ones((2, 3 * 112 * 112)), "fc1_bias": mx.nd.ones(2)}
    save_checkpoint("m", 1, symbol, weights, {})
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: command.main(arguments))
    assert ended.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors == lines[-1:], "nothing after it, no traceback"
    for word in words:
        assert word in errors[0]
    assert not os.path.exists("ran")
