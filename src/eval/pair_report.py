"""A page to look at after a verification: ROC curves, distances, folds and wrong pairs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from src.common.html_page import Section, figure_tag, image_tag, page, picture_row, table
from src.common.output_files import whole_file
from src.eval.badcases import Fold, WrongPair, fold_results, pair_picture
from src.eval.figures import Measurement
from src.eval.pairs import Array, VerificationSet, flip_sum
from src.eval.report_pictures import chart_tag, new_chart
from src.eval.roc import pair_distances
from src.eval.table import HEAD, Results, cell_text, rows

CURVES_NAMED = 8  # with a colour of their own; further models are grey
PAIRS_SHOWN = 40  # pictures of each kind of wrong pair
BIN = 0.05  # squared distance
PICTURE_WIDTH = 224  # pixels of both faces together


class PairReport:
    """Collects results while models are measured, and writes the page.

    Of each set it keeps the ROC curves of all models, and the details of the best one.

    Parameters
    ----------
    path
        HTML file.
    prefix
        Of the models.
    """

    def __init__(self, path: str, prefix: str) -> None:
        self._path = path
        self._prefix = prefix
        self._curves: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
        self._details: dict[str, tuple[float, str]] = {}  # accuracy and HTML of the best model

    def add(
        self, name: str, data_set: VerificationSet, result: Measurement, found: Mapping[str, Any]
    ) -> None:
        """Takes note of a model's result on a set.

        Parameters
        ----------
        name
            Of the set.
        found
            Epoch of the model, and what `src.eval.figures.summarize` returns.
        """
        self._curves.setdefault(name, []).append((found["epoch"], found["roc"]))
        accuracy = found["accuracy_flip"]
        if name in self._details and self._details[name][0] >= accuracy:
            return
        embeddings = flip_sum(result.embeddings_list)
        distances = pair_distances(embeddings[0::2], embeddings[1::2])
        same = np.asarray(data_set[1], bool)
        folds = fold_results(distances, same, found["folds"])
        parts = [
            f'<div class="charts">{_histogram(distances, same, found["best_threshold"])}</div>',
            "<h3>Folds</h3>",
            _fold_table(folds),
            *_wrong_pairs(folds, data_set[0][0]),
        ]
        self._details[name] = accuracy, "\n".join(parts)

    def write(self, results: Results) -> None:
        """Writes the page; the results are those of `src.eval.verification.verify`."""
        lines = [[cell_text(row[name]) for name in HEAD] for row in rows(self._prefix, results)]
        note = (
            '<p class="note">Accuracy is the mean over the folds, std its standard deviation; '
            "with flip, the embeddings of image and mirrored image are added. threshold is a "
            "squared distance, 0 to 4; cosine is the same threshold. tar is the share of same "
            "pairs that is accepted where the share far of different pairs is; * marks the best "
            "model of a set.</p>"
        )
        sections = [Section("Results", f'<div class="scroll">{table(HEAD, lines)}</div>{note}')]
        for name, best in results.items():
            chart = f'<div class="charts">{_roc_chart(name, self._curves[name], best)}</div>'
            model = f"<p>The best model, epoch {best['epoch']}, with flip:</p>"
            body = f"{chart}\n{model}\n{self._details[name][1]}"
            sections.append(Section(f"{name}: {best['pairs']} pairs", body))
        with whole_file(self._path, "w") as file:
            file.write(page("Verification", sections))


def _roc_chart(
    name: str, curves: Sequence[tuple[int, Mapping[str, Any]]], best: Mapping[str, Any]
) -> str:
    """HTML of the ROC curves of all models, the ones with the largest area in colour."""
    figure, axes = new_chart(f"ROC of {name}", "false accept rate", "true accept rate")
    lowest = 1 / (best["pairs"] - best["same_pairs"])  # what the set can measure
    ordered = sorted(curves, key=lambda curve: (curve[0] != best["epoch"], -curve[1]["auc"]))
    for place, (epoch, roc) in enumerate(ordered):
        fpr = np.maximum(roc["fpr"], lowest / 2)  # a logarithmic scale has no 0
        label = f"epoch {epoch} (AUC {roc['auc']:.4f})"
        if place < CURVES_NAMED:
            axes.plot(fpr, roc["tpr"], label=label, zorder=3, linewidth=2 if place == 0 else 1)
        else:
            axes.plot(fpr, roc["tpr"], color="#b8bfca", linewidth=0.7, zorder=1)
    axes.set_xscale("log")
    axes.set_xlim(lowest / 2, 1)
    axes.set_ylim(-0.02, 1.02)
    more = len(curves) - CURVES_NAMED
    axes.legend(loc="lower right", fontsize=8, title=f"and {more} more, grey" if more > 0 else None)
    return chart_tag(figure)


def _histogram(distances: np.ndarray, same: np.ndarray, threshold: float) -> str:
    """HTML of the distances of same and of different pairs."""
    figure, axes = new_chart("Distances", "squared distance", "pairs")
    bins = np.arange(0, max(distances.max(), threshold) + 2 * BIN, BIN).tolist()
    kinds = (("same person", same, "#2f855a"), ("different people", ~same, "#c05621"))
    for label, chosen, colour in kinds:
        axes.hist(distances[chosen], bins, alpha=0.55, color=colour, label=label)
    axes.axvline(threshold, color="#1d2433", linestyle="--", label=f"threshold {threshold:.2f}")
    axes.legend(fontsize=8)
    return chart_tag(figure)


def _fold_table(folds: Sequence[Fold]) -> str:
    """HTML of a table of the folds and their mean."""
    lines = [
        [str(number), fold.pairs, f"{fold.threshold:.2f}", fold.accuracy, *_counts(fold.wrong)]
        for number, fold in enumerate(folds, start=1)
    ]
    accuracies = [fold.accuracy for fold in folds]
    wrong = [row for fold in folds for row in fold.wrong]
    pairs = sum(fold.pairs for fold in folds)
    lines.append(["all", pairs, "", float(np.mean(accuracies)), *_counts(wrong)])
    head = ("fold", "pairs", "threshold", "accuracy", "same, rejected", "different, accepted")
    return f'<div class="scroll">{table(head, lines)}</div>'


def _counts(wrong: Sequence[WrongPair]) -> tuple[int, int]:
    rejected = sum(row.same for row in wrong)
    return rejected, len(wrong) - rejected


def _wrong_pairs(folds: Sequence[Fold], images: Array) -> list[str]:
    """HTML of the wrong pairs, farthest from the threshold first."""
    parts = []
    kinds = ((True, "Rejected pairs of one person"), (False, "Accepted pairs of two people"))
    for same, title in kinds:
        wrong = [row for fold in folds for row in fold.wrong if row.same == same]
        wrong.sort(key=lambda row: -abs(row.distance - row.threshold))
        shown = wrong[:PAIRS_SHOWN]
        count = f"the worst {len(shown)} of {len(wrong)}" if len(wrong) > len(shown) else len(wrong)
        figures = [
            figure_tag(
                image_tag(pair_picture(images, row.pair), f"pair {row.pair}"),
                (f"pair {row.pair}: {row.distance:.3f}, threshold {row.threshold:.2f}",),
                PICTURE_WIDTH,
            )
            for row in shown
        ]
        parts += [f"<h3>{title}: {count}</h3>", picture_row(figures)]
    return parts
