"""One self-contained HTML page of a run: faces, counts, curves, ROC, final table, commands.

    python -m src.eval.report --work work --photos photos --output work/report.html

Reads what the recipes leave in the working folder; a part whose files are not there is left out.
"""

import argparse
import html
import json
import os
from typing import NamedTuple

from src.common.arguments import resolve_arguments
from src.common.errors import InputError, run_command
from src.common.face_records import open_face_records
from src.common.output_files import whole_file
from src.eval.report_pictures import contact_sheet, image_tag, roc_chart, training_chart
from src.eval.training_log import read_training_log

STYLE = """
:root { color-scheme: light; --ink: #1d2433; --soft: #5b6475; --line: #d9dee7; --tint: #f5f7fa; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: #fff;
       max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
p.note { color: var(--soft); } .warning { background: #fff6e0; border-left: 4px solid #e0a100;
       padding: .6rem .9rem; }
table { border-collapse: collapse; } th, td { padding: .3rem .9rem .3rem 0; text-align: left;
       border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
pre { background: var(--tint); padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere;
       font-size: .85rem; }
img, svg { max-width: 100%; height: auto; }
.charts { display: flex; flex-wrap: wrap; gap: 1rem; margin-top: 1rem; }
.charts > div { flex: 1 1 26rem; }
"""


class Section(NamedTuple):
    """A titled part of the page; `body` is HTML."""

    title: str
    body: str


# ------------------------------------------------------------------------------ counts


def count_lines(path):
    """Lines of a text file that are not empty."""
    with open(path, encoding="utf-8") as lines:
        return sum(1 for line in lines if line.strip())


def count_files(folder):
    """Files in a folder and all below it."""
    return sum(len(files) for _, _, files in os.walk(folder))


def count_records(data_dir):
    """(images, identities) of a record set."""
    reader, layout = open_face_records(data_dir)
    reader.close()
    return len(layout.image_ids), len(layout.identity_ranges)


def step_counts(work, photos):
    """What came in and out of each step, as rows (step, count, what)."""
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
            rows.append(("hold out", listed - trained, "faces of people kept for verification"))
    if os.path.exists(os.path.join(work, "heldout.txt")):
        pairs = count_lines(os.path.join(work, "heldout.txt"))
        rows.append(("hold out", pairs, "verification pairs of them"))
    for name, step in [*((part, "pack") for part in parts), ("merged", "merge")]:
        if os.path.exists(os.path.join(work, name, "train.rec")):
            images, people = count_records(os.path.join(work, name))
            rows.append((step, images, f"images of {people} people in {name}/train.rec"))
    return rows


def skipped_photos(work):
    """What the steps left out, as rows (step, file, reason)."""
    rows = []
    for old, _, state in _table_rows(os.path.join(work, "photos_jpg", "names.tsv")):
        if state.startswith("skipped"):
            # The reason names the photo once more, with its folders.
            rows.append(("rename", old, state.rpartition(f"{old}: ")[2]))
    for path, reason in _table_rows(os.path.join(work, "aligned", "lst.skipped")):
        rows.append(("align", os.path.join(*path.split(os.sep)[-2:]), reason))
    return rows


def _table_rows(path):
    """Rows of a table with tabs between its fields; none if there is no such file."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", errors="replace") as lines:
        return [line.rstrip("\n").split("\t") for line in lines]


# ------------------------------------------------------------------------------ sections


def table(header, rows):
    """HTML table; numbers are set to the right."""

    def cell(value, tag):
        if isinstance(value, float):
            value = f"{value:.5f}"
        is_number = isinstance(value, int) or str(value).replace(".", "").isdigit()
        css = ' class="number"' if is_number else ""
        return f"<{tag}{css}>{html.escape(str(value))}</{tag}>"

    lines = ["<tr>" + "".join(cell(value, "th") for value in header) + "</tr>"]
    lines += ["<tr>" + "".join(cell(value, "td") for value in row) + "</tr>" for row in rows]
    return "<table>" + "\n".join(lines) + "</table>"


def sheet_section(work):
    """The `Section` of the contact sheet; None without a list."""
    list_path = os.path.join(work, "all.lst")
    if not os.path.exists(list_path):
        return None
    tag = image_tag(contact_sheet(list_path), "aligned faces, a row a person")
    return Section("Aligned faces, a row a person", tag)


def counts_section(work, photos):
    """The `Section` of what each step took in and gave out, and what was left out."""
    body = table(("step", "count", ""), step_counts(work, photos))
    skipped = skipped_photos(work)
    if skipped:
        body += f"<p>Left out, {len(skipped)} in all:</p>" + table(
            ("step", "file", "reason"), skipped[:50]
        )
        if len(skipped) > 50:
            tables = "photos_jpg/names.tsv and aligned/lst.skipped"
            body += f"<p class=note>and {len(skipped) - 50} more, in {tables}</p>"
    return Section("What each step took in and gave out", body)


def training_section(work):
    """The `Section` of the training curves, one a run; None without logs."""
    models = os.path.join(work, "models")
    charts = []
    for name in sorted(os.listdir(models)) if os.path.isdir(models) else []:
        path = os.path.join(models, name, "train.log")
        if os.path.exists(path):
            charts.append(training_chart(read_training_log(path), name))
    charts = [chart for chart in charts if chart]
    return Section("Training", f'<div class="charts">{"".join(charts)}</div>') if charts else None


def verification_section(results, work):
    """The `Section` of what `verification --output` wrote: table and ROC."""
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


def commands_section(work):
    """The `Section` of the commands that the recipes ran; None without their list."""
    path = os.path.join(work, "commands.txt")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as lines:
        commands = dict.fromkeys(lines)  # a run that goes on repeats those before
    return Section("Every command that was run", f"<pre>{html.escape(''.join(commands))}</pre>")


def write_report(work, photos, output, title, warning):
    """Writes the page; returns the titles of its sections."""
    if not os.path.isdir(work):
        raise InputError(f"{work}: no such folder; --work is the folder that the recipes wrote")
    sections = [sheet_section(work), counts_section(work, photos), training_section(work)]
    results_path = os.path.join(work, "results.json")
    if os.path.exists(results_path):
        with open(results_path, encoding="utf-8") as file:
            sections.append(verification_section(json.load(file), work))
    sections.append(commands_section(work))
    sections = [section for section in sections if section]
    banner = f'<p class="warning">{html.escape(warning)}</p>' if warning else ""
    parts = [f"<h2>{html.escape(title)}</h2>\n{body}" for title, body in sections]
    with whole_file(output, "w") as file:
        file.write(
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>\n"
            f"<h1>{html.escape(title)}</h1>\n{banner}\n" + "\n".join(parts) + "\n</body></html>\n"
        )
    return [section.title for section in sections]


def parse_args(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", required=True, help="folder that the recipes wrote")
    parser.add_argument("--photos", default="", help="folder that the photos came from")
    parser.add_argument("--output", required=True, help="the .html file to write")
    parser.add_argument("--title", default="From photographs to a verified model")
    parser.add_argument("--warning", default="", help="a sentence to stand in a box at the top")
    return parser.parse_args(argv)


def main(args=None):
    """The command."""
    args = resolve_arguments(parse_args, args)
    write_report(args.work, args.photos, args.output, args.title, args.warning)
    print(f"report: {args.output}")


if __name__ == "__main__":
    run_command(main)
