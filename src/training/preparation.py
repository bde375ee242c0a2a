"""Preparation before the first batch: data set, checkpoint, verification sets, seed."""

import logging
import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from src.checkpoints.files import drop_other_class_count, load_checkpoint
from src.checkpoints.names import parse_one_model
from src.common.errors import InputError
from src.common.mxnet_backend import Parameters
from src.eval.figures import measure
from src.eval.pairs import load_pairs
from src.formats.property import load_property
from src.formats.records import RecordReader
from src.training.trainer import Trainer

log = logging.getLogger(__name__)

FOLDS = 10  # of a verification set, if it has that many pairs

Target = tuple[str, Any]  # a name, and a verification set of `load_pairs`


class TrainingSet(NamedTuple):
    """A data set to train on; `image_size` is [height, width]."""

    num_classes: int
    image_size: list[int]
    path_imgrec: str


def find_training_set(data_dir: str) -> TrainingSet:
    """The training set in a folder.

    Raises
    ------
    InputError, FileNotFoundError
        It is incomplete; the message names what is missing.
    """
    if not data_dir:
        raise InputError("--data-dir is missing: the folder of train.rec, train.idx and property")
    if not os.path.isdir(data_dir):
        raise FileNotFoundError(f"--data-dir {data_dir}: there is no such folder")
    found = load_property(data_dir)
    path_imgrec = os.path.join(data_dir, "train.rec")
    return TrainingSet(found.num_classes, found.image_size, path_imgrec)


def check_labels(
    reader: RecordReader, id2range: Mapping[int, tuple[int, int]], num_classes: int
) -> None:
    """Raises InputError unless all labels are 0..C-1; checks two images of each identity.

    Other labels would silently make the loss NaN.

    Parameters
    ----------
    id2range
        Identity record → (first, last + 1) of its images.
    num_classes
        C, from property.
    """
    for first, stop in id2range.values():
        for record_id in {first, stop - 1}:
            label = float(reader.read(record_id).label[0])
            if not (0 <= label < num_classes and label.is_integer()):
                folder = os.path.dirname(reader.path) or "."
                raise InputError(
                    f"{reader.path}: image {record_id} has label {label:g}, but "
                    f"{os.path.join(folder, 'property')} has {num_classes} classes, labels 0 to "
                    f"{num_classes - 1}; there are {len(id2range)} identities: if their labels are "
                    f"0 to {len(id2range) - 1}, change the first number of property to "
                    f"{len(id2range)}, otherwise list and pack the set again"
                )


def load_pretrained(
    text: str, num_classes: int | None
) -> tuple[Parameters | None, Parameters | None]:
    """(arg_params, aux_params) of `--pretrained prefix,epoch`; (None, None) for ''.

    A prefix alone means its newest checkpoint. A classifier with another number of classes is
    dropped, with a warning.

    Parameters
    ----------
    num_classes
        None if this training has no classifier.
    """
    if not text:
        return None, None
    prefix, epoch = parse_one_model(text, "--pretrained")
    print("loading", [prefix, str(epoch)])
    _, arg_params, aux_params = load_checkpoint(prefix, epoch)
    if num_classes is not None:
        arg_params = drop_other_class_count(arg_params, num_classes)
    return arg_params, aux_params


def load_targets(data_dir: str, target: str, image_size: Sequence[int]) -> list[Target]:
    """The verification sets of the `--target` list; those without a file are skipped."""
    found: list[Target] = []
    missing = []
    for name in filter(None, (part.strip() for part in target.split(","))):
        path = os.path.join(data_dir, f"{name}.bin")
        if os.path.exists(path):
            found.append((name, load_pairs(path, image_size)))
            print("ver", name)
        else:
            missing.append(f"{name}.bin")
    if missing:
        log.warning("missing in %s, skipped: %s", data_dir, ", ".join(missing))
    return found


class Verifier:
    """Verifies all targets, and prints 2018's lines.

    Parameters
    ----------
    targets
    batch_size
        The trainer's batch size.
    """

    def __init__(self, targets: list[Target], batch_size: int) -> None:
        self.targets = targets
        self.batch_size = batch_size

    def __call__(self, trainer: Trainer, step: int) -> list[float]:
        """The accuracies of the targets after the given batch."""
        accuracies = []
        for name, data_set in self.targets:
            folds = min(FOLDS, len(data_set[1]))
            result = measure(data_set, trainer.module, self.batch_size, folds)
            accuracy, deviation = result.accuracy_flip
            print(f"[{name}][{step}]XNorm: {result.xnorm:f}")
            print(f"[{name}][{step}]Accuracy-Flip: {accuracy:1.5f}+-{deviation:1.5f}")
            accuracies.append(accuracy)
        return accuracies


def chosen_seed(seed: int | None) -> int:
    """`seed`, or a new one, which is logged so that the run can be repeated."""
    if seed is None:
        seed = secrets.randbelow(1 << 31)
        log.info("using --seed %d", seed)
    return seed
