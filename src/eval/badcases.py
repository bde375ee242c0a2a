"""The pairs that a model gets wrong, as pictures and as a table; and its embeddings in a file."""

# ruff: noqa: PT028  (`test_badcase` is a name of 2018, not a test)

import csv
import logging
import os
import pickle
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

import cv2
import numpy as np

from src.common.mxnet_backend import mx
from src.common.output_files import whole_file
from src.eval.folds import IsSame, LFold
from src.eval.pairs import Array, VerificationSet, embed_pairs, flip_sum
from src.eval.roc import ACCURACY_THRESHOLDS, pair_distances, threshold_rates

log = logging.getLogger(__name__)

COLUMNS, GAP, FOOTER = 4, 10, 20  # pairs per row; pixels between them; pixels for the bottom line
TEXT_COLOUR = (153, 255, 51)  # BGR
PAIRS_SHOWN = 400  # in a picture, the worst first; the table has all of them
FALSE_NEGATIVE, FALSE_POSITIVE = "positive(false_negative)", "negative(false_positive)"


class Fold(NamedTuple):
    """A fold: its number of pairs, the threshold that is best on the others, and what is wrong."""

    pairs: int
    threshold: float
    wrong: list["WrongPair"]

    @property
    def accuracy(self) -> float:
        """At the threshold."""
        return 1 - len(self.wrong) / self.pairs


class WrongPair(NamedTuple):
    """A pair on the wrong side of its fold's threshold; the distance is squared."""

    pair: int
    same: bool
    distance: float
    threshold: float


def test_badcase(
    data_set: VerificationSet,
    mx_model: mx.mod.Module,
    batch_size: int,
    name: str = "",
    data_extra: Array | None = None,
    label_shape: tuple[int, ...] | None = None,
    nfolds: int = 10,
    folder: str = "./badcases",
) -> list[str]:
    """Writes pictures and a table of the pairs that a model gets wrong; returns their paths.

    `<name>_positive(false_negative).png` shows the rejected pairs of one person,
    `<name>_negative(false_positive).png` the accepted pairs of two people, the worst first. Each
    pair has its squared distance across it; the threshold is at the bottom.
    `<name>_badcases.csv` lists all of them: pair, images, same or different, distance, threshold.
    If there are none, only the table is written, without rows.

    Parameters
    ----------
    data_set, mx_model, batch_size, data_extra, label_shape
        As for `src.eval.pairs.embed_pairs`.
    name
        The start of the file names.
    nfolds
        The threshold for a pair is the best one on the other folds.
    """
    print("testing verification badcase..")
    embeddings = flip_sum(embed_pairs(data_set, mx_model, batch_size, data_extra, label_shape))
    wrong, accuracy = wrong_pairs(embeddings, data_set[1], nfolds)
    distance = attrgetter("distance")
    kinds = {
        FALSE_NEGATIVE: sorted((row for row in wrong if row.same), key=distance, reverse=True),
        FALSE_POSITIVE: sorted((row for row in wrong if not row.same), key=distance),
    }
    print(len(kinds[FALSE_NEGATIVE]), len(kinds[FALSE_POSITIVE]))
    print("acc", accuracy)
    start = os.path.join(folder, f"{name}_" if name else "")
    paths = [_write_table(f"{start}badcases.csv", [*kinds[FALSE_NEGATIVE], *kinds[FALSE_POSITIVE]])]
    for kind, rows in kinds.items():
        if rows:
            paths.append(_write_picture(f"{start}{kind}.png", rows, data_set[0][0]))
    return paths


def dumpR(
    data_set: VerificationSet,
    mx_model: mx.mod.Module,
    batch_size: int,
    name: str = "",
    data_extra: Array | None = None,
    label_shape: tuple[int, ...] | None = None,
    path: str | None = None,
) -> str:
    """Writes a pickle of (normalised embeddings (2P,D), issame); returns its path.

    Parameters
    ----------
    data_set, mx_model, batch_size, data_extra, label_shape
        As for `src.eval.pairs.embed_pairs`.
    name
        2018: no effect.
    path
        By default `temp.bin` in the working folder, as in 2018.
    """
    print("dump verification embedding..")
    embeddings = flip_sum(embed_pairs(data_set, mx_model, batch_size, data_extra, label_shape))
    path = path or "temp.bin"
    with whole_file(path) as file:
        pickle.dump((embeddings, data_set[1]), file, protocol=2)  # Python 2 reads it too
    return path


def wrong_pairs(
    embeddings: np.ndarray, issame: IsSame, nfolds: int = 10
) -> tuple[list[WrongPair], float]:
    """(pairs on the wrong side of their fold's threshold, mean accuracy).

    Parameters
    ----------
    embeddings
        (2P, D), L2-normalised.
    """
    folds = fold_results(pair_distances(embeddings[0::2], embeddings[1::2]), issame, nfolds)
    wrong = [row for fold in folds for row in fold.wrong]
    return wrong, float(np.mean([fold.accuracy for fold in folds]))


def fold_results(dist: np.ndarray, issame: IsSame, nfolds: int = 10) -> list[Fold]:
    """The folds of the squared distances (P,) of a set's pairs."""
    issame = np.asarray(issame, bool)
    folds = []
    for train_set, test_set in LFold(n_splits=nfolds).split(np.arange(len(issame))):
        _, _, accuracy = threshold_rates(ACCURACY_THRESHOLDS, dist[train_set], issame[train_set])
        threshold = float(ACCURACY_THRESHOLDS[np.argmax(accuracy)])
        test = np.asarray(test_set)
        missed = test[np.less(dist[test], threshold) != issame[test]]
        wrong = [
            WrongPair(int(pair), bool(issame[pair]), float(dist[pair]), threshold)
            for pair in missed
        ]
        folds.append(Fold(len(test), threshold, wrong))
    return folds


def _write_table(path: str, rows: Iterable[WrongPair]) -> str:
    with whole_file(path, "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["pair", "first_image", "second_image", "same", "distance", "threshold"])
        for row in rows:
            first = 2 * row.pair
            numbers = f"{row.distance:.6f}", f"{row.threshold:.2f}"
            writer.writerow([row.pair, first, first + 1, int(row.same), *numbers])
    return path


def _write_picture(path: str, rows: Sequence[WrongPair], images: Array) -> str:
    """Writes one PNG with a tile for each pair, its distance across it; returns the path."""
    if len(rows) > PAIRS_SHOWN:
        log.warning("%s shows the worst %d of %d pairs", path, PAIRS_SHOWN, len(rows))
    shown = rows[:PAIRS_SHOWN]
    height, width = images.shape[2], 2 * images.shape[3]
    lines = -(-len(shown) // COLUMNS)
    sheet = np.full(
        (height * lines + FOOTER, width * COLUMNS + GAP * (COLUMNS - 1), 3), 255, np.uint8
    )
    for place, row in enumerate(shown):
        top, left = height * (place // COLUMNS), (width + GAP) * (place % COLUMNS)
        tile = np.ascontiguousarray(pair_picture(images, row.pair)[..., ::-1])
        _write_text(tile, f"{row.distance:.3f}", (width // 2 - 32, height // 2 + 7))
        sheet[top : top + height, left : left + width] = tile
    footer = f"threshold: {shown[0].threshold:.3f}"
    _write_text(sheet, footer, (sheet.shape[1] // 2 - 70, sheet.shape[0] - 5))
    with whole_file(path) as file:
        file.write(cv2.imencode(".png", sheet)[1].tobytes())
    return path


def pair_picture(images: Array, pair: int) -> np.ndarray:
    """Both images of a pair side by side, uint8 (H, 2W, 3), RGB."""
    both = images[2 * pair : 2 * pair + 2]
    both = both if isinstance(both, np.ndarray) else both.asnumpy()
    return np.concatenate(list(both.transpose(0, 2, 3, 1)), axis=1).astype(np.uint8)


def _write_text(image: np.ndarray, text: str, origin: tuple[int, int]) -> None:
    """Writes into the image; `origin` is the (x, y) of the text's lower left corner."""
    cv2.putText(image, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.6, TEXT_COLOUR, 2)
