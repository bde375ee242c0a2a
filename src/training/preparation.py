"""Preparation before the first batch: the data set and the checkpoint to start from."""

import logging
import os
from collections.abc import Callable, Set
from typing import NamedTuple

import numpy as np

from src.checkpoints.files import drop_other_class_count, load_checkpoint
from src.checkpoints.names import parse_one_model
from src.common.errors import InputError
from src.common.mxnet_backend import Parameters, mx
from src.common.writable import check_output_folder
from src.formats.face_layout import IdentityRanges
from src.formats.property import load_property
from src.formats.records import RecordReader
from src.symbols.symbol_utils import HEADS

log = logging.getLogger(__name__)


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


def check_prefix(prefix: str) -> None:
    """InputError for a `--prefix` that is a folder, which would write files like `-0001.params`."""
    if os.path.basename(prefix) in ("", ".", ".."):
        raise InputError(
            f"--prefix {prefix}: this is a folder; add a name for the checkpoints, e.g. "
            f"--prefix {os.path.join(prefix, 'model')}"
        )
    check_output_folder(os.path.dirname(prefix), "--prefix")


def check_labels(reader: RecordReader, id2range: IdentityRanges, num_classes: int) -> None:
    """Raises InputError unless all labels are 0..C-1; checks two images of each identity.

    Other labels would silently make the loss NaN.

    Parameters
    ----------
    id2range
        Identity record → (first, last + 1) of its images.
    num_classes
        C, from property.
    """
    checked = np.stack([id2range.starts, id2range.stops - 1], axis=1).ravel()
    labels = reader.first_labels(checked)
    wrong = np.flatnonzero(~((labels >= 0) & (labels < num_classes) & (labels == np.floor(labels))))
    if len(wrong):
        folder = os.path.dirname(reader.path) or "."
        raise InputError(
            f"{reader.path}: image {checked[wrong[0]]} has label {labels[wrong[0]]:g}, but "
            f"{os.path.join(folder, 'property')} has {num_classes} classes, labels 0 to "
            f"{num_classes - 1}; there are {len(id2range)} identities: if their labels are "
            f"0 to {len(id2range) - 1}, change the first number of property to "
            f"{len(id2range)}, otherwise list and pack the set again"
        )
    found = np.unique(labels)
    if len(found) < num_classes:
        log.warning(
            "%s: %d of the %d classes in property have no images; they cannot be learnt",
            reader.path,
            num_classes - len(found),
            num_classes,
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


def warn_of_other_head(given: Set[str], own: str, build: Callable[[str], mx.sym.Symbol]) -> None:
    """Logs which `--version-output` a checkpoint has if it does not have the one that was chosen.

    Parameters
    ----------
    given
        Names of the checkpoint's arrays.
    own
        The chosen head.
    build
        Returns the embedding with a head; raises InputError for one that the network cannot have.
    """

    def missing(head: str) -> int:
        try:
            symbol = build(head)
        except InputError:
            return len(given)
        needed = {*symbol.list_arguments(), *symbol.list_auxiliary_states()} - {"data"}
        return len(needed - given)

    if missing(own):
        fitting = [head for head in HEADS if not missing(head)]
        if fitting:
            log.warning(
                "the checkpoint has the head --version-output %s; with %s its head starts from "
                "random weights: pass --version-output %s",
                " or ".join(fitting),
                own,
                fitting[0],
            )
