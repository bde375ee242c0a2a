"""Flags of later training scripts, which people copy, and what to write here instead."""

import argparse
import sys
from collections.abc import Sequence

from src.losses import registry

LOSSES = {
    "softmax": "--loss-type 0",
    "nsoftmax": "--loss-type 4 --margin-m 0",
    "sphereface": "--loss-type 1",
    "cosface": "--loss-type 2",
    "arcface": "--loss-type 4",
    "combined": "--loss-type 5",
    "triplet": "python -m src.train_triplet",
    "atriplet": "python -m src.train_triplet",
}

DEVICES = "--devices gpu:0,gpu:1"
PROPERTY = "nothing: property in --data-dir gives it"
NEEDLESS = "nothing: it is not needed"

HINTS = {
    "--dataset": "--data-dir FOLDER, with train.rec, train.idx and property, e.g. "
    "--data-dir ../datasets/faces_emore",
    "--data": "--data-dir FOLDER",
    "--rec": "--data-dir FOLDER",
    "--models-root": "--prefix FOLDER/model",
    "--model-dir": "--prefix FOLDER/model",
    "--output": "--prefix FOLDER/model",
    "--output-dir": "--prefix FOLDER/model",
    "--pretrained-epoch": "--pretrained PREFIX,EPOCH",
    "--frequent": "nothing: speed is logged every 20 batches",
    "--local-rank": NEEDLESS,
    "--worker-id": NEEDLESS,
    "--config": "a flag for each setting, see --help",
    "--config-file": "a flag for each setting, see --help",
    "--batch-size": "--per-batch-size N, for each device",
    "--num-epoch": "--end-epoch N",
    "--num-epochs": "--end-epoch N",
    "--epochs": "--end-epoch N",
    "--learning-rate": "--lr RATE",
    "--momentum": "--mom NUMBER",
    "--weight-decay": "--wd NUMBER",
    "--embedding-size": "--emb-size N",
    "--margin-m1": "--loss-type 5 --margin-a NUMBER",
    "--margin-m2": "--loss-type 4 --margin-m NUMBER",
    "--margin-m3": "--loss-type 2 --margin-m NUMBER, or --loss-type 5 --margin-b NUMBER",
    "--gpu": DEVICES,
    "--gpus": DEVICES,
    "--ctx": DEVICES,
    "--workers": "--threads N",
    "--num-workers": "--threads N",
    "--num-layers": "--network with its depth, as in r100",
    "--num-classes": PROPERTY,
    "--image-size": PROPERTY,
    "--image-shape": PROPERTY,
    "--color": NEEDLESS,
    "--images-filter": NEEDLESS,
    "--ce-loss": "nothing: lossvalue is always logged",
}


def reject_later_flags(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> None:
    """Exits with the parser's error, which names the flags to use here, if there are such flags.

    To be called before the flags are parsed: argparse takes `--loss` for `--loss-type`.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    own = parser._option_string_actions
    hints = []
    for number, word in enumerate(words):
        flag, _, value = word.partition("=")
        plain = flag.replace("_", "-")
        if not flag.startswith("--") or flag in own:
            continue
        if plain == "--loss":
            name = value or next(iter(words[number + 1 : number + 2]), "")
            hints.append(f"instead of {flag} {name}".rstrip() + f" use {_loss_flag(name)}")
        elif plain in HINTS:
            hints.append(f"instead of {flag} use {HINTS[plain]}")
        elif plain in own:
            hints.append(f"instead of {flag} use {plain}")
    if hints:
        parser.error("flags of another script: " + "; ".join(hints))


def _loss_flag(name: str) -> str:
    known = ", ".join(f"{loss.number} {loss.title}" for loss in registry.losses().values())
    return LOSSES.get(name.lower(), f"--loss-type N ({known})")
