"""What both training commands do before the first batch: data, checkpoint, verification sets."""

import logging
import os
import secrets
from typing import NamedTuple

from src.common import checkpoints, face_image
from src.common.checkpoint_names import parse_one_model
from src.common.errors import InputError
from src.eval import verification

log = logging.getLogger(__name__)

FOLDS = 10  # of a verification set, if it has as many pairs


class TrainingSet(NamedTuple):
    """`num_classes`, `image_size` [height, width], and where the records are."""

    num_classes: int
    image_size: list
    path_imgrec: str


def find_training_set(data_dir):
    """The `TrainingSet` of a folder.

    Raises
    ------
    InputError, FileNotFoundError
        There is none; says what is missing.
    """
    if not data_dir:
        raise InputError("--data-dir is missing: the folder of train.rec, train.idx and property")
    if not os.path.isdir(data_dir):
        raise FileNotFoundError(f"--data-dir {data_dir}: there is no such folder")
    found = face_image.load_property(data_dir)
    path_imgrec = os.path.join(data_dir, "train.rec")
    return TrainingSet(found.num_classes, found.image_size, path_imgrec)


def check_labels(reader, id2range, num_classes):
    """Raises InputError unless all labels are 0..C-1, seen in two images of each identity.

    Labels beyond that make the loss NaN without a word.

    Parameters
    ----------
    reader : RecordReader
    id2range : dict
        Identity record → (first, last + 1) of its images.
    num_classes : int
        C, as property says.
    """
    for first, stop in id2range.values():
        for record_id in {first, stop - 1}:
            label = float(reader.read(record_id).label[0])
            if not (0 <= label < num_classes and label.is_integer()):
                folder = os.path.dirname(reader.path) or "."
                raise InputError(
                    f"{reader.path}: image {record_id} has label {label:g}, but "
                    f"{os.path.join(folder, 'property')} says {num_classes} classes, labels 0 to "
                    f"{num_classes - 1}; there are {len(id2range)} identities: if their labels are "
                    f"0 to {len(id2range) - 1}, write that number first in property, else list and "
                    "pack the set again"
                )


def load_pretrained(text, num_classes):
    """(arg_params, aux_params) of `--pretrained prefix,epoch`; (None, None) for ''.

    Of a prefix alone the newest is taken, and a classifier of another number of classes is left
    out; a line says so.

    Parameters
    ----------
    text : str
    num_classes : int or None
        None: there is no classifier in this training.
    """
    if not text:
        return None, None
    prefix, epoch = parse_one_model(text, "--pretrained")
    print("loading", [prefix, str(epoch)])
    _, arg_params, aux_params = checkpoints.load(prefix, epoch)
    if num_classes is not None:
        arg_params = checkpoints.drop_other_class_count(arg_params, num_classes)
    return arg_params, aux_params


def load_targets(data_dir, target, image_size):
    """[(name, verification set)] of the `--target` list; those without a file are skipped."""
    found, missing = [], []
    for name in filter(None, (part.strip() for part in target.split(","))):
        path = os.path.join(data_dir, f"{name}.bin")
        if os.path.exists(path):
            found.append((name, verification.load_pairs(path, image_size)))
            print("ver", name)
        else:
            missing.append(f"{name}.bin")
    if missing:
        log.warning("not in %s and skipped: %s", data_dir, ", ".join(missing))
    return found


def verifier(targets, module, batch_size):
    """A function from a batch number to the accuracies of all targets, which it prints."""

    def verify(step):
        accuracies = []
        for name, data_set in targets:
            folds = min(FOLDS, len(data_set[1]))
            _, _, accuracy, deviation, xnorm, _ = verification.test(
                data_set, module, batch_size, folds
            )
            print(f"[{name}][{step}]XNorm: {xnorm:f}")
            print(f"[{name}][{step}]Accuracy-Flip: {accuracy:1.5f}+-{deviation:1.5f}")
            accuracies.append(accuracy)
        return accuracies

    return verify


def chosen_seed(seed):
    """`seed`, or a new one that the log names so that the run can be repeated."""
    if seed is None:
        seed = secrets.randbelow(1 << 31)
        log.info("drawn --seed %d", seed)
    return seed
