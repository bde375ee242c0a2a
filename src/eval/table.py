"""A table of results: a row for each set and checkpoint, the best one of each set marked."""

import csv
from collections.abc import Iterator, Mapping
from typing import Any

from src.common.output_files import whole_file

BEST = "*"
HEAD = (
    *("best", "set", "model", "accuracy", "std", "accuracy_flip", "flip_std"),
    *("threshold", "cosine", "auc", "eer", "tar", "far", "xnorm", "seconds"),
)
Results = Mapping[str, Mapping[str, Any]]
"""Set → its results, as `src.eval.verification.verify` returns them."""


def rows(prefix: str, results: Results) -> Iterator[dict[str, Any]]:
    """The rows, with the columns of `HEAD`.

    `threshold` is a squared distance and `cosine` the same threshold; `tar` is the true accept rate
    at `far`, the lowest false accept rate that the number of pairs supports.
    """
    for name, best in results.items():
        for found in best["models"]:
            rate = found["tar_at_far"][-1] if found["tar_at_far"] else {"tar": "", "far": ""}
            yield {
                "best": BEST if found["epoch"] == best["epoch"] else "",
                "set": name,
                "model": f"{prefix},{found['epoch']}",
                "accuracy": found["accuracy"],
                "std": found["accuracy_std"],
                "accuracy_flip": found["accuracy_flip"],
                "flip_std": found["accuracy_flip_std"],
                "threshold": found["best_threshold"],
                "cosine": 1 - found["best_threshold"] / 2,
                "auc": found["auc"],
                "eer": found["eer"],
                "tar": rate["tar"],
                "far": rate["far"],
                "xnorm": found["xnorm"],
                "seconds": found["seconds"],
            }


def table_lines(prefix: str, results: Results) -> list[str]:
    """The table as text, in columns."""
    texts = [list(HEAD)]
    texts += [[cell_text(row[name]) for name in HEAD] for row in rows(prefix, results)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in texts
    ]


def cell_text(value: Any) -> str:
    """A value of the table with five digits."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def write_csv(path: str, prefix: str, results: Results) -> None:
    """Writes the table as CSV, with all digits."""
    with whole_file(path, "w", newline="") as file:
        writer = csv.DictWriter(file, HEAD, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows(prefix, results))
