"""Measures how well a model verifies pairs of faces; library and command, as in 2018.

    python -m src.eval.verification --data-dir faces_emore --model models/y1/model,1 --target lfw

prints for each set the accuracy over folds, with the embeddings of the images (Accuracy) and with
those of image and mirrored image added (Accuracy-Flip), the best threshold, and the true accept
rates at several false accept rates. `--report` writes a page to look at, `--mode 1` pictures of the
wrong pairs, `--mode 2` the embeddings.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from src.common.arguments import make_parser, resolve_arguments
from src.common.devices import single_context
from src.common.errors import run_command
from src.common.log import configure_logging
from src.common.mxnet_backend import mx
from src.common.output_files import whole_file
from src.common.writable import check_output_file, check_output_folder
from src.eval.badcases import dumpR, test_badcase
from src.eval.figures import measure, print_results, summarize
from src.eval.folds import LFold, check_folds
from src.eval.inputs import choose_epochs, find_targets, model_loader
from src.eval.pair_report import PairReport
from src.eval.pairs import Array, VerificationSet, load_bin, load_pairs
from src.eval.roc import (
    calculate_accuracy,
    calculate_roc,
    calculate_val,
    calculate_val_far,
    evaluate,
)
from src.eval.table import table_lines, write_csv
from src.formats.property import load_property

__all__ = [
    "LFold",
    "calculate_accuracy",
    "calculate_roc",
    "calculate_val",
    "calculate_val_far",
    "dumpR",
    "evaluate",
    "load_bin",
    "load_pairs",
    "main",
    "parse_args",
    "test",
    "test_badcase",
]

log = logging.getLogger(__name__)


def test(
    data_set: VerificationSet,
    mx_model: mx.mod.Module,
    batch_size: int,
    nfolds: int = 10,  # noqa: PT028  (not a test)
    data_extra: Array | None = None,  # noqa: PT028
    label_shape: tuple[int, ...] | None = None,  # noqa: PT028
) -> tuple[float, float, float, float, float, list[np.ndarray]]:
    """Accuracy of a model on a verification set: acc1, std1, acc2, std2, xnorm, embeddings_list.

    Parameters
    ----------
    data_set
        ([images, mirrored], issame) of `load_bin` or `load_pairs`.
    mx_model
        Bound for `batch_size` images; its first output is the embedding.
    data_extra, label_shape
        As for `src.checkpoints.embedding.embed`.

    Returns
    -------
    acc1, std1
        Mean and standard deviation of the folds' accuracies, with the embeddings of the images.
        (2018 returned 0, 0.)
    acc2, std2
        With the sums of the embeddings of image and mirrored image.
    xnorm
        Mean norm of the embeddings.
    embeddings_list
        Embeddings (2P, D) of the images and of the mirrored images, not normalised.
    """
    result = measure(data_set, mx_model, batch_size, nfolds, data_extra, label_shape)
    return (*result.accuracy, *result.accuracy_flip, result.xnorm, result.embeddings_list)


def verify(
    targets: Mapping[str, str],
    image_size: Sequence[int],
    epochs: Sequence[int],
    load_model: Callable[[int], mx.mod.Module],
    batch_size: int,
    nfolds: int,
    report: PairReport | None = None,
) -> dict[str, dict[str, Any]]:
    """Measures all models on all sets, and prints the results; returns them by set.

    A set's results are those of its best model, with its `epoch`; `models` lists those of all
    models, without the ROC curves.

    Parameters
    ----------
    targets
        Name → path of the .bin file.
    image_size
        Height, width.
    report
        Takes note of each result.
    """
    results = {}
    for name, path in targets.items():
        print("loading.. ", name)
        data_set = load_pairs(path, image_size)
        check_folds(data_set[1], nfolds, path)
        models = []
        for epoch in epochs:
            result = measure(data_set, load_model(epoch), batch_size, nfolds)
            models.append({"epoch": epoch, **summarize(result, data_set[1], nfolds)})
            print_results(name, models[-1])
            if report:
                report.add(name, data_set, result, models[-1])
        best = max(models, key=lambda row: row["accuracy_flip"])
        print(f"Max of [{name}] is {best['accuracy_flip']:1.5f}")
        without_curve = [{key: row[key] for key in row if key != "roc"} for row in models]
        results[name] = {**best, "models": without_curve}
    return results


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: 2018's flags and defaults, and `--output`."""
    parser = make_parser(__doc__)
    group = parser.add_argument_group("input")
    group.add_argument("--data-dir", default="", help="folder of property and the .bin files")
    group.add_argument(
        "--target",
        default="lfw,cfp_ff,cfp_fp,agedb_30",
        help="names of .bin files, without .bin; missing ones are skipped",
    )
    group.add_argument(
        "--model",
        default="../model/softmax,50",
        help="checkpoints: prefix,epoch; prefix,1|2|3; or prefix for all epochs, newest first",
    )
    group.add_argument(
        "--max",
        default="",
        help="a,b: only epochs [a, b) of --model PREFIX, 0 is the newest; no effect if --model "
        "names epochs, or if there are at most b",
    )
    group = parser.add_argument_group("output")
    group.add_argument(
        "--mode",
        default=0,
        type=int,
        choices=(0, 1, 2),
        help="0: accuracies and rates; 1: pictures of the wrong pairs; 2: embeddings; 1 and 2 use "
        "only the first set and the first model",
    )
    group.add_argument(
        "--nfolds", default=10, type=int, help="number of folds; no effect with --mode 2"
    )
    group.add_argument(
        "--output",
        default="",
        help="mode 0: JSON file for results and ROC curves, none if empty; mode 1: folder for the "
        "pictures, ./badcases if empty; mode 2: file for the embeddings, temp.bin if empty",
    )
    group.add_argument(
        "--csv", default="", metavar="FILE", help="mode 0: also write the table of results as CSV"
    )
    group.add_argument(
        "--report",
        default="",
        metavar="FILE.html",
        help="mode 0: also write a page with ROC curves, distances, folds and wrong pairs",
    )
    group = parser.add_argument_group("device")
    group.add_argument("--gpu", default=0, type=int, help="index of the GPU; -1: CPU")
    group.add_argument("--batch-size", default=32, type=int, help="images per forward pass")
    args = parser.parse_args(argv)
    if args.batch_size < 1 or args.nfolds < 1:
        parser.error("--batch-size and --nfolds must be at least 1")
    return args


def run(args: argparse.Namespace) -> None:
    """Runs the chosen mode."""
    # 2018: a Namespace had no attribute `output`.
    output = getattr(args, "output", "") or ("./badcases" if args.mode == 1 else "")
    if output:
        (check_output_folder if args.mode == 1 else check_output_file)(output, "--output")
    csv, page = getattr(args, "csv", ""), getattr(args, "report", "")
    for path, flag in ((csv, "--csv"), (page, "--report")):
        if path:
            check_output_file(path, flag)
    image_size = load_property(args.data_dir).image_size
    print("image_size", image_size)
    prefix, epochs = choose_epochs(args.model, args.max)
    targets = find_targets(args.data_dir, args.target)
    print("model number", len(epochs))
    context = single_context(args.gpu)
    load_model = model_loader(prefix, context, args.batch_size, image_size)
    if args.mode == 0:
        report = PairReport(page, prefix) if page else None
        results = verify(
            targets, image_size, epochs, load_model, args.batch_size, args.nfolds, report
        )
        if len(targets) > 1 or len(epochs) > 1:
            print("\n".join(table_lines(prefix, results)))
        if output:
            with whole_file(output, "w") as file:
                json.dump({"model": args.model, "targets": results}, file, indent=1)
        if csv:
            write_csv(csv, prefix, results)
        if report:
            report.write(results)
        return
    name, path = next(iter(targets.items()))
    if len(targets) > 1 or len(epochs) > 1:
        log.warning(
            "--mode %d uses one set and one model: %s and epoch %d", args.mode, name, epochs[0]
        )
    print("loading.. ", name)
    inputs = load_pairs(path, image_size), load_model(epochs[0]), args.batch_size, name
    if args.mode == 1:
        paths = test_badcase(*inputs, nfolds=args.nfolds, folder=output)
    else:
        paths = [dumpR(*inputs, path=output)]
    print("written:", ", ".join(paths))


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    args = resolve_arguments(parse_args, args)
    configure_logging()
    run(args)


if __name__ == "__main__":
    run_command(main)
