"""The pictures of the report: contact sheet of faces, charts of training and ROC."""

import base64
import html
import io

import cv2
import numpy as np
from matplotlib.figure import Figure

from src.common.errors import InputError
from src.common.face_preprocess import parse_lst_line
from src.common.photos import read_photo

SHEET_PEOPLE, SHEET_PHOTOS, SHEET_FACE = 12, 8, 84


def contact_sheet(list_path):
    """Faces of a list, a row a person: uint8 (H, W, 3) RGB; a face that cannot be read is blank."""
    people = {}
    with open(list_path, encoding="utf-8", errors="surrogateescape") as lines:
        for line in filter(str.strip, lines):
            path, label, *_ = parse_lst_line(line)
            people.setdefault(label, []).append(path)
    labels = list(people)
    # Spread over the whole set rather than the first letters of the alphabet.
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


def image_tag(image, description):
    """HTML of an RGB image, embedded as JPEG."""
    _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    data = base64.b64encode(encoded).decode("ascii")
    return f'<img alt="{html.escape(description)}" src="data:image/jpeg;base64,{data}">'


def new_chart(title, x_label, y_label):
    """(figure, axes) in the report's style, without pyplot's global state."""
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(color="#e3e7ee", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def chart_tag(figure):
    """HTML of a figure, as inline SVG."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return "<div>" + svg[svg.index("<svg") :] + "</div>"


def training_chart(log, title):
    """Chart of a `TrainingLog`: loss on the left scale, accuracies on the right; None if empty."""
    if not log.metrics:
        return None
    figure, axes = new_chart(title, "batches", "loss")
    share = axes.twinx()
    share.set_ylim(-0.02, 1.02)
    share.set_ylabel("accuracy")
    share.spines[["top"]].set_visible(False)
    lines = []
    for name, (batches, values) in log.metrics.items():
        if name == "acc":
            style = {"color": "#2b6cb0", "label": "training accuracy"}
            lines += share.plot(batches, values, ".-", **style)
        else:
            lines += axes.plot(batches, values, ".-", color="#c05621", label=name)
    for target, (batches, values) in log.verification.items():
        lines += share.plot(batches, values, "o--", color="#2f855a", markersize=4, label=target)
    axes.legend(handles=lines, loc="center right", fontsize=8)
    return chart_tag(figure)


def roc_chart(targets):
    """Chart of the ROC of each target of `results.json`."""
    figure, axes = new_chart("ROC", "false accept rate", "true accept rate")
    for name, result in targets.items():
        # A rate of 0 has no place on a logarithmic scale.
        fpr, tpr = np.array(result["roc"]["fpr"]), np.array(result["roc"]["tpr"])
        axes.plot(np.maximum(fpr, 1e-4), tpr, label=f"{name} (AUC {result['roc']['auc']:.4f})")
    axes.set_xscale("log")
    axes.set_xlim(1e-4, 1)
    axes.set_ylim(0, 1.02)
    axes.legend(loc="lower right", fontsize=8)
    return chart_tag(figure)
