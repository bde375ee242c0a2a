"""The results of one model on one verification set, for the screen and for files."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from sklearn.preprocessing import normalize

from src.common.mxnet_backend import mx
from src.eval.curves import (
    accept_rates,
    area_under_curve,
    best_threshold,
    equal_error_rate,
    roc_points,
)
from src.eval.folds import IsSame
from src.eval.pairs import Array, VerificationSet, embed_pairs, flip_sum
from src.eval.roc import (
    ACCURACY_THRESHOLDS,
    VALIDATION_FAR,
    VALIDATION_THRESHOLDS,
    calculate_roc,
    calculate_val,
)


class Measurement(NamedTuple):
    """What a model gives on a set; each accuracy is (mean, standard deviation) over the folds.

    `accuracy` compares the embeddings of the images, `accuracy_flip` those of image and mirrored
    image added. `xnorm` is the mean norm of the embeddings, which `embeddings_list` contains as
    `embed_pairs` returns them. `seconds` is the time that the embeddings took.
    """

    accuracy: tuple[float, float]
    accuracy_flip: tuple[float, float]
    xnorm: float
    embeddings_list: list[np.ndarray]
    seconds: float


def measure(
    data_set: VerificationSet,
    mx_model: mx.mod.Module,
    batch_size: int,
    nfolds: int = 10,
    data_extra: Array | None = None,
    label_shape: tuple[int, ...] | None = None,
) -> Measurement:
    """The accuracy of a model on a verification set.

    The parameters are those of `src.checkpoints.embedding.embed`.
    """
    print("testing verification..")
    start = time.monotonic()
    embeddings_list = embed_pairs(data_set, mx_model, batch_size, data_extra, label_shape)
    seconds = time.monotonic() - start
    norms = [np.linalg.norm(embeddings, axis=1) for embeddings in embeddings_list]
    embeddings = flip_sum(embeddings_list)
    print(embeddings.shape)
    print("infer time", seconds)
    return Measurement(
        accuracy=_fold_accuracy(normalize(embeddings_list[0]), data_set[1], nfolds),
        accuracy_flip=_fold_accuracy(embeddings, data_set[1], nfolds),
        xnorm=float(np.mean(norms)),
        embeddings_list=embeddings_list,
        seconds=seconds,
    )


def _fold_accuracy(embeddings: np.ndarray, issame: IsSame, nfolds: int) -> tuple[float, float]:
    """(mean, standard deviation) of the folds' accuracies."""
    _, _, accuracy = calculate_roc(
        ACCURACY_THRESHOLDS, embeddings[0::2], embeddings[1::2], issame, nrof_folds=nfolds
    )
    return np.mean(accuracy), np.std(accuracy)


def summarize(result: Measurement, issame: IsSame, nfolds: int) -> dict[str, Any]:
    """The results of one model on one set, for the screen and for `--output`."""
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
        "auc": area_under_curve(fpr, tpr),
        "eer": equal_error_rate(fpr, tpr),
        "seconds": result.seconds,
        "images_per_second": sum(map(len, result.embeddings_list)) / result.seconds,
        "roc": {
            "fpr": fpr.tolist(),
            "tpr": tpr.tolist(),
            "thresholds": thresholds.tolist(),
            "auc": area_under_curve(fpr, tpr),
        },
    }


def print_results(name: str, results: Mapping[str, Any]) -> None:
    """Prints what `summarize` returns: the lines of 2018, then the thresholds."""
    print(f"[{name}]XNorm: {results['xnorm']:f}")
    for label, key in (("Accuracy", "accuracy"), ("Accuracy-Flip", "accuracy_flip")):
        print(f"[{name}]{label}: {results[key]:1.5f}+-{results[f'{key}_std']:1.5f}")
    threshold = results["best_threshold"]
    print(
        f"[{name}]Best threshold: {threshold:.2f} (squared distance; cosine "
        f"{1 - threshold / 2:.3f}), accuracy {results['best_threshold_accuracy']:.5f}"
    )
    print(f"[{name}]AUC: {results['auc']:.5f}, EER: {results['eer']:.5f}")
    rate = results["validation_rate"]
    print(
        f"[{name}]Validation rate: {rate['val']:.5f}+-{rate['val_std']:.5f} @ FAR={rate['far']:.5f}"
    )
    for row in results["tar_at_far"]:
        print(
            f"[{name}]TAR@FAR={row['far']:g}: {row['tar']:.5f} (threshold {row['threshold']:.3f})"
        )
