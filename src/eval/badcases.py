"""The pairs that a model gets wrong, as pictures and as a table; and its embeddings in a file."""

# ruff: noqa: PT028  (`test_badcase` is a name of 2018, no test)

import csv
import logging
import os
import pickle

import cv2
import numpy as np

from src.common.output_files import whole_file
from src.eval.pairs import embed_pairs, flip_sum
from src.eval.roc import ACCURACY_THRESHOLDS, LFold, pair_distances, threshold_rates

log = logging.getLogger(__name__)

COLUMNS, GAP, FOOTER = 4, 10, 20  # pairs a row; pixels between them; pixels below for a line
TEXT_COLOUR = (153, 255, 51)  # BGR
PAIRS_SHOWN = 400  # a row, the worst first; the table has all
FALSE_NEGATIVE, FALSE_POSITIVE = "positive(false_negative)", "negative(false_positive)"


def test_badcase(
    data_set,
    mx_model,
    batch_size,
    name="",
    data_extra=None,
    label_shape=None,
    nfolds=10,
    folder="./badcases",
):
    """Writes what a model gets wrong, worst first: two pictures and a table; returns their paths.

    Same pairs that it tells apart are in `<name>_positive(false_negative).png`, different ones that
    it takes for the same in `<name>_negative(false_positive).png`, each pair with its squared
    distance and the threshold below; `<name>_badcases.csv` lists all: pair, images, kind, distance,
    threshold. Where nothing is wrong there is only the table, without lines.

    Parameters
    ----------
    data_set, mx_model, batch_size, data_extra, label_shape
        As for `src.eval.pairs.embed_pairs`.
    name : str
        Begins the names of the files.
    nfolds : int
        A pair is judged at the threshold that is best on the other folds.
    folder : str
    """
    print("testing verification badcase..")
    embeddings = flip_sum(embed_pairs(data_set, mx_model, batch_size, data_extra, label_shape))
    wrong, accuracy = wrong_pairs(embeddings, data_set[1], nfolds)
    kinds = {
        FALSE_NEGATIVE: sorted((row for row in wrong if row["same"]), key=_distance, reverse=True),
        FALSE_POSITIVE: sorted((row for row in wrong if not row["same"]), key=_distance),
    }
    print(len(kinds[FALSE_NEGATIVE]), len(kinds[FALSE_POSITIVE]))
    print("acc", accuracy)
    start = os.path.join(folder, f"{name}_" if name else "")
    paths = [_write_table(f"{start}badcases.csv", [*kinds[FALSE_NEGATIVE], *kinds[FALSE_POSITIVE]])]
    for kind, rows in kinds.items():
        if rows:
            paths.append(_write_picture(f"{start}{kind}.png", rows, data_set[0][0]))
    return paths


def dumpR(data_set, mx_model, batch_size, name="", data_extra=None, label_shape=None, path=None):
    """Writes a pickle of (embeddings (2P,D), issame), the embeddings normalised; returns its path.

    Parameters
    ----------
    data_set, mx_model, batch_size, data_extra, label_shape
        As for `src.eval.pairs.embed_pairs`.
    name : str
        2018: without effect.
    path : str, optional
        `temp.bin` in the working folder by default, as in 2018.
    """
    print("dump verification embedding..")
    embeddings = flip_sum(embed_pairs(data_set, mx_model, batch_size, data_extra, label_shape))
    path = path or "temp.bin"
    with whole_file(path) as file:
        pickle.dump((embeddings, data_set[1]), file, protocol=2)  # Python 2 reads it too
    return path


def wrong_pairs(embeddings, issame, nfolds=10):
    """(list of dict, mean accuracy): the pairs on the wrong side of their fold's threshold.

    Each has `pair`, `same`, `distance` (squared) and `threshold`.
    """
    issame = np.asarray(issame, bool)
    dist = pair_distances(embeddings[0::2], embeddings[1::2])
    wrong, accuracies = [], []
    for train_set, test_set in LFold(n_splits=nfolds).split(np.arange(len(issame))):
        _, _, accuracy = threshold_rates(ACCURACY_THRESHOLDS, dist[train_set], issame[train_set])
        threshold = ACCURACY_THRESHOLDS[np.argmax(accuracy)]
        missed = test_set[np.less(dist[test_set], threshold) != issame[test_set]]
        accuracies.append(1 - len(missed) / len(test_set))
        for pair in missed:
            wrong.append(
                {
                    "pair": int(pair),
                    "same": bool(issame[pair]),
                    "distance": float(dist[pair]),
                    "threshold": float(threshold),
                }
            )
    return wrong, float(np.mean(accuracies))


def _distance(row):
    return row["distance"]


def _write_table(path, rows):
    with whole_file(path, "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["pair", "first_image", "second_image", "same", "distance", "threshold"])
        for row in rows:
            first = 2 * row["pair"]
            figures = f"{row['distance']:.6f}", f"{row['threshold']:.2f}"
            writer.writerow([row["pair"], first, first + 1, int(row["same"]), *figures])
    return path


def _write_picture(path, rows, images):
    """One PNG of pairs side by side, with each one's distance across it."""
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
        pair = [_bgr(images, 2 * row["pair"] + side) for side in (0, 1)]
        tile = np.ascontiguousarray(np.concatenate(pair, axis=1))
        _write_text(tile, f"{row['distance']:.3f}", (width // 2 - 32, height // 2 + 7))
        sheet[top : top + height, left : left + width] = tile
    footer = f"threshold: {shown[0]['threshold']:.3f}"
    _write_text(sheet, footer, (sheet.shape[1] // 2 - 70, sheet.shape[0] - 5))
    with whole_file(path) as file:
        file.write(cv2.imencode(".png", sheet)[1].tobytes())
    return path


def _bgr(images, index):
    image = images[index]
    image = image if isinstance(image, np.ndarray) else image.asnumpy()
    return image.transpose(1, 2, 0)[..., ::-1].astype(np.uint8)


def _write_text(image, text, origin):
    cv2.putText(image, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.6, TEXT_COLOUR, 2)
