"""The figures of one model on one verification set, for the screen and for files."""

import time
from types import SimpleNamespace

import numpy as np
from sklearn.preprocessing import normalize

from src.eval.curves import accept_rates, area_under, best_threshold, roc_points
from src.eval.pairs import embed_pairs, flip_sum
from src.eval.roc import (
    ACCURACY_THRESHOLDS,
    VALIDATION_FAR,
    VALIDATION_THRESHOLDS,
    calculate_roc,
    calculate_val,
)


def measure(data_set, mx_model, batch_size, nfolds=10, data_extra=None, label_shape=None):
    """What `verification.test` returns, by name, and the seconds that the embeddings took.

    Parameters
    ----------
    data_set : ([images, mirrored], issame)
    mx_model, batch_size, data_extra, label_shape
        As for `src.eval.pairs.embed_pairs`.
    nfolds : int

    Returns
    -------
    SimpleNamespace
        `accuracy` and `accuracy_flip`, each (mean, standard deviation) over the folds; `xnorm`,
        `embeddings_list`, `seconds`.
    """
    print("testing verification..")
    start = time.monotonic()
    embeddings_list = embed_pairs(data_set, mx_model, batch_size, data_extra, label_shape)
    seconds = time.monotonic() - start
    norms = [np.linalg.norm(embeddings, axis=1) for embeddings in embeddings_list]
    embeddings = flip_sum(embeddings_list)
    print(embeddings.shape)
    print("infer time", seconds)
    return SimpleNamespace(
        accuracy=_fold_accuracy(normalize(embeddings_list[0]), data_set[1], nfolds),
        accuracy_flip=_fold_accuracy(embeddings, data_set[1], nfolds),
        xnorm=float(np.mean(norms)),
        embeddings_list=embeddings_list,
        seconds=seconds,
    )


def _fold_accuracy(embeddings, issame, nfolds):
    """(mean, standard deviation) of the folds' accuracies."""
    _, _, accuracy = calculate_roc(
        ACCURACY_THRESHOLDS, embeddings[0::2], embeddings[1::2], issame, nrof_folds=nfolds
    )
    return np.mean(accuracy), np.std(accuracy)


def summarize(result, issame, nfolds):
    """The figures of one model on one set, for the table and for `--output`: a dict.

    Parameters
    ----------
    result : SimpleNamespace
        What `measure` gave.
    issame : sequence of bool
    nfolds : int
    """
    embeddings = flip_sum(result.embeddings_list)
    threshold, accuracy = best_threshold(embeddings, issame)
    val, val_std, far = calculate_val(
        VALIDATION_THRESHOLDS, embeddings[0::2], embeddings[1::2], issame, VALIDATION_FAR, nfolds
    )
    fpr, tpr, thresholds = roc_points(embeddings, issame)
    return {
        "pairs": len(issame),
        "same_pairs": int(np.sum(issame)),
        "folds": nfolds,
        "accuracy": float(result.accuracy[0]),
        "accuracy_std": float(result.accuracy[1]),
        "accuracy_flip": float(result.accuracy_flip[0]),
        "accuracy_flip_std": float(result.accuracy_flip[1]),
        "xnorm": result.xnorm,
        "best_threshold": threshold,
        "best_threshold_accuracy": accuracy,
        "validation_rate": {"val": float(val), "val_std": float(val_std), "far": float(far)},
        "tar_at_far": accept_rates(embeddings, issame),
        "images_per_second": sum(map(len, result.embeddings_list)) / result.seconds,
        "roc": {
            "fpr": fpr.tolist(),
            "tpr": tpr.tolist(),
            "thresholds": thresholds.tolist(),
            "auc": area_under(fpr, tpr),
        },
    }


def print_figures(name, figures):
    """The lines of one model on one set: those of 2018, then the thresholds."""
    print(f"[{name}]XNorm: {figures['xnorm']:f}")
    for label, key in (("Accuracy", "accuracy"), ("Accuracy-Flip", "accuracy_flip")):
        print(f"[{name}]{label}: {figures[key]:1.5f}+-{figures[f'{key}_std']:1.5f}")
    threshold = figures["best_threshold"]
    print(
        f"[{name}]Best threshold: {threshold:.2f} (squared distance; cosine "
        f"{1 - threshold / 2:.3f}), accuracy {figures['best_threshold_accuracy']:.5f}"
    )
    rate = figures["validation_rate"]
    print(
        f"[{name}]Validation rate: {rate['val']:.5f}+-{rate['val_std']:.5f} @ FAR={rate['far']:.5f}"
    )
    for row in figures["tar_at_far"]:
        print(
            f"[{name}]TAR@FAR={row['far']:g}: {row['tar']:.5f} (threshold {row['threshold']:.3f})"
        )
