"""Writes one self-contained HTML page about a run: faces, counts, curves, ROC, results, commands.

    python -m src.eval.report --work work --photos photos --output work/report.html

Reads the files that the recipes leave in the working folder; sections without files are left out.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
import html
import os
from collections.abc import Mapping, Sequence
from typing import Any

from src.common.arguments import make_parser, resolve_arguments
from src.common.errors import InputError, run_command
from src.common.html_page import Section, image_tag, page, table
from src.common.json_text import parse_json
from src.common.output_files import whole_file
from src.common.text_files import read_lines
from src.common.writable import check_output_file
from src.eval.report_pictures import contact_sheet, roc_chart, training_chart
from src.eval.training_log import read_training_log
from src.formats.face_layout import open_face_records

# ------------------------------------------------------------------------------ counts


def count_lines(path: str) -> int:
    """Number of lines of a text file that are not empty."""
    return sum(1 for _, line in read_lines(path, "replace") if line.strip())


def count_files(folder: str) -> int:
    """Number of files in a folder and its subfolders."""
    return sum(len(files) for _, _, files in os.walk(folder))


def count_records(data_dir: str) -> tuple[int, int]:
    """(number of images, number of identities) of a record set."""
    reader, layout = open_face_records(data_dir)
    reader.close()
    return len(layout.image_ids), len(layout.identity_ranges)


def step_counts(work: str, photos: str) -> list[tuple[str, int, str]]:
    """Rows (step, count, what is counted) for the input and output of each step."""
    rows = []
    if photos and os.path.isdir(photos):
        rows.append(("photos", count_files(photos), "files in the photo folder"))
    for folder, step, what in (
        ("photos_jpg", "rename", "photos as RGB .jpg with ASCII names"),
        ("aligned", "align", "faces found and aligned"),
    ):
        path = os.path.join(work, folder)
        if os.path.isdir(path):
            count = sum(name.endswith(".jpg") for _, _, files in os.walk(path) for name in files)
            rows.append((step, count, what))
    parts = sorted(name for name in os.listdir(work) if name.startswith("part_"))
    if os.path.exists(os.path.join(work, "all.lst")):
        listed = count_lines(os.path.join(work, "all.lst"))
        rows.append(("list", listed, "faces listed"))
        lists = [os.path.join(work, part, "train.lst") for part in parts]
        trained = sum(count_lines(path) for path in lists if os.path.exists(path))
        if trained:
            rows.append(("hold out", listed - trained, "faces of people held out for verification"))
    if os.path.exists(os.path.join(work, "heldout.txt")):
        pairs = count_lines(os.path.join(work, "heldout.txt"))
        rows.append(("hold out", pairs, "verification pairs of these people"))
    for name, step in [*((part, "pack") for part in parts), ("merged", "merge")]:
        if os.path.exists(os.path.join(work, name, "train.rec")):
            images, people = count_records(os.path.join(work, name))
            rows.append((step, images, f"images of {people} people in {name}/train.rec"))
    return rows


def skipped_photos(work: str) -> list[tuple[str, str, str]]:
    """Rows (step, file, reason) of the photos that the steps skipped."""
    rows = []
    for old, _, state, *_ in _table_rows(os.path.join(work, "photos_jpg", "names.tsv")):
        if state.startswith("skipped"):
            # The reason repeats the photo's name, with its folders.
            rows.append(("rename", old, state.rpartition(f"{old}: ")[2]))
    for path, reason in _table_rows(os.path.join(work, "aligned", "lst.skipped")):
        rows.append(("align", os.path.join(*path.split(os.sep)[-2:]), reason))
    return rows


def _table_rows(path: str) -> list[list[str]]:
    """Rows of a tab-separated file; empty if there is no such file."""
    if not os.path.exists(path):
        return []
    return [line.split("\t") for _, line in read_lines(path, "replace")]


# ------------------------------------------------------------------------------ sections


def sheet_section(work: str) -> Section | None:
    """The contact sheet; None without a list."""
    list_path = os.path.join(work, "all.lst")
    if not os.path.exists(list_path):
        return None
    tag = image_tag(contact_sheet(list_path), "aligned faces, one row per person")
    return Section("Aligned faces, one row per person", tag)


def counts_section(work: str, photos: str) -> Section:
    """The input and output counts of each step, and the skipped photos."""
    body = table(("step", "count", ""), step_counts(work, photos))
    skipped = skipped_photos(work)
    if skipped:
        body += f"<p>Skipped photos ({len(skipped)}):</p>" + table(
            ("step", "file", "reason"), skipped[:50]
        )
        if len(skipped) > 50:
            tables = "photos_jpg/names.tsv and aligned/lst.skipped"
            body += f"<p class=note>and {len(skipped) - 50} more, in {tables}</p>"
    return Section("Input and output of each step", body)


def training_section(work: str) -> Section | None:
    """The training curves, one chart per run; None without logs."""
    models = os.path.join(work, "models")
    charts = []
    for name in sorted(os.listdir(models)) if os.path.isdir(models) else []:
        path = os.path.join(models, name, "train.log")
        chart = training_chart(read_training_log(path), name) if os.path.exists(path) else None
        if chart:
            charts.append(chart)
    return Section("Training", f'<div class="charts">{"".join(charts)}</div>') if charts else None


def verification_section(results: Mapping[str, Any], work: str) -> Section:
    """Table and ROC chart of the results that `verification --output` wrote."""
    model = results["model"]
    if os.path.isabs(model):
        inside = os.path.relpath(model, work)
        model = model if inside.startswith("..") else inside
    targets = results["targets"]
    rows = [
        (
            name,
            result["pairs"],
            f"{result['accuracy_flip']:.5f} ± {result['accuracy_flip_std']:.5f}",
            f"{result['best_threshold']:.3f}",
            result["roc"]["auc"],
        )
        for name, result in targets.items()
    ]
    body = f"<p>Model: <code>{html.escape(model)}</code></p>"
    body += table(("set", "pairs", "accuracy (10 folds, flip)", "best threshold", "AUC"), rows)
    return Section("Verification", body + f'<div class="charts">{roc_chart(targets)}</div>')


def commands_section(work: str) -> Section | None:
    """The commands that the recipes ran; None without their list."""
    path = os.path.join(work, "commands.txt")
    if not os.path.exists(path):
        return None
    # A resumed run lists earlier commands again.
    commands = dict.fromkeys(f"{line}\n" for _, line in read_lines(path, "replace"))
    return Section("Every command that was run", f"<pre>{html.escape(''.join(commands))}</pre>")


def write_report(work: str, photos: str, output: str, title: str, warning: str) -> list[str]:
    """Writes the page; returns the titles of its sections.

    Raises
    ------
    InputError
        There is no folder `work`.
    """
    if not os.path.isdir(work):
        raise InputError(f"--work {work}: no such folder; give the folder that the recipes wrote")
    found = [sheet_section(work), counts_section(work, photos), training_section(work)]
    results_path = os.path.join(work, "results.json")
    if os.path.exists(results_path):
        try:
            with open(results_path, "rb") as file:
                found.append(verification_section(parse_json(file.read()), work))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"{results_path} is not what verification --output writes ({error!r}); write it "
                "again, or delete it"
            ) from None
    found.append(commands_section(work))
    sections = [section for section in found if section]
    with whole_file(output, "w") as file:
        file.write(page(title, sections, warning))
    return [section.title for section in sections]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--work", required=True, help="folder that the recipes wrote")
    parser.add_argument("--photos", default="", help="folder of the original photos, to be counted")
    parser.add_argument("--output", required=True, help="the .html file to write")
    parser.add_argument(
        "--title", default="From photographs to a verified model", help="title of the page"
    )
    parser.add_argument("--warning", default="", help="sentence shown in a box at the top")
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    args = resolve_arguments(parse_args, args)
    check_output_file(args.output, "--output")
    write_report(args.work, args.photos, args.output, args.title, args.warning)
    print(f"report: {args.output}")


if __name__ == "__main__":
    run_command(main)
