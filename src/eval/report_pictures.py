"""The pictures of the report: contact sheet of faces, charts of training and ROC."""

import html
import io
import re
import zlib
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.common.errors import InputError
from src.common.photos import read_photo
from src.common.text_files import read_lines
from src.eval.training_log import TrainingLog
from src.formats.lists import parse_lst_line

SHEET_PEOPLE, SHEET_PHOTOS, SHEET_FACE = 12, 8, 84  # rows, columns, pixels of a face's side


def contact_sheet(list_path: str) -> np.ndarray:
    """Faces of a list, one row per person, uint8 (H, W, 3) RGB; unreadable faces are blank."""
    people: dict[int, list[str]] = {}
    for _, line in read_lines(list_path, "surrogateescape"):
        if line.strip():
            path, label, *_ = parse_lst_line(line)
            people.setdefault(label, []).append(path)
    labels = list(people)
    # Spread over the complete set, not only the start of the alphabet.
    chosen = labels[:: max(1, len(labels) // SHEET_PEOPLE)][:SHEET_PEOPLE]
    side = SHEET_FACE
    sheet = np.full((side * len(chosen), side * SHEET_PHOTOS, 3), 255, np.uint8)
    for row, label in enumerate(chosen):
        photos = people[label]
        for column, path in enumerate(photos[:: max(1, len(photos) // SHEET_PHOTOS)]):
            if column == SHEET_PHOTOS:
                break
            try:
                face = read_photo(path)
            except (InputError, OSError):
                continue
            face = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
            sheet[row * side : (row + 1) * side, column * side : (column + 1) * side] = face
    return sheet


def literal(text: str) -> str:
    """The text without matplotlib's formulas, which start with a dollar sign."""
    return text.replace("$", r"\$")


def new_chart(title: str, x_label: str, y_label: str) -> tuple[Figure, Axes]:
    """An empty chart in the report's style, without pyplot's global state."""
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(literal(title), fontsize=11)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(color="#e3e7ee", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def chart_tag(figure: Figure) -> str:
    """HTML of a figure, as inline SVG, whose ids are unique among different figures."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    own = f"chart{zlib.crc32(svg.encode()):08x}-"
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{own}", svg)
    title = html.escape(figure.axes[0].get_title().replace(r"\$", "$"))
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
    return f"<div>{svg}</div>"


def training_chart(log: TrainingLog, title: str) -> str | None:
    """HTML of a chart with losses on the left axis and accuracies on the right; None if empty."""
    if not log.metrics:
        return None
    figure, axes = new_chart(title, "batches", "loss")
    accuracy_axes = axes.twinx()
    accuracy_axes.set_ylim(-0.02, 1.02)
    accuracy_axes.set_ylabel("accuracy")
    accuracy_axes.spines[["top"]].set_visible(False)
    lines = []
    for name, (batches, values) in log.metrics.items():
        if name == "acc":
            label = "training accuracy"
            lines += accuracy_axes.plot(batches, values, ".-", color="#2b6cb0", label=label)
        else:
            lines += axes.plot(batches, values, ".-", color="#c05621", label=literal(name))
    for target, (batches, values) in log.verification.items():
        lines += accuracy_axes.plot(
            batches, values, "o--", color="#2f855a", markersize=4, label=literal(target)
        )
    axes.legend(handles=lines, loc="center right", fontsize=8)
    return chart_tag(figure)


def roc_chart(targets: Mapping[str, Any]) -> str:
    """HTML of a chart with the ROC curve of each target of `results.json`."""
    figure, axes = new_chart("ROC", "false accept rate", "true accept rate")
    for name, result in targets.items():
        # A logarithmic scale cannot show a rate of 0.
        fpr, tpr = np.array(result["roc"]["fpr"]), np.array(result["roc"]["tpr"])
        axes.plot(
            np.maximum(fpr, 1e-4), tpr, label=f"{literal(name)} (AUC {result['roc']['auc']:.4f})"
        )
    axes.set_xscale("log")
    axes.set_xlim(1e-4, 1)
    axes.set_ylim(0, 1.02)
    axes.legend(loc="lower right", fontsize=8)
    return chart_tag(figure)
