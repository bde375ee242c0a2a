"""Tells how well a model verifies pairs of faces; as in 2018, library and command.

    python -m src.eval.verification --data-dir faces_emore --model models/y1/model,1 --target lfw

prints for each set its accuracy over folds, with the embedding of an image and with the sum of its
own and its mirror image's (Accuracy-Flip), the best threshold, and the share of same pairs that is
accepted at given rates of false accepts. `--mode 1` writes pictures of the wrong pairs, `--mode 2`
the embeddings.
"""

# ruff: noqa: PT028  (`test` and `test_badcase` are names of 2018, no tests)

import argparse
import functools
import json
import logging
import os
import time

from src.common import checkpoints
from src.common.arguments import resolve_arguments
from src.common.checkpoint_names import parse_model, split_model
from src.common.devices import single_context
from src.common.errors import InputError, run_command
from src.common.face_image import load_property
from src.common.log import configure_logging
from src.common.output_files import whole_file
from src.eval.badcases import dumpR, test_badcase
from src.eval.figures import measure, print_figures, summarize
from src.eval.pairs import load_bin, load_pairs
from src.eval.roc import (
    LFold,
    calculate_accuracy,
    calculate_roc,
    calculate_val,
    calculate_val_far,
    check_folds,
    evaluate,
)

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


def test(data_set, mx_model, batch_size, nfolds=10, data_extra=None, label_shape=None):
    """Accuracy of a model on a verification set: acc1, std1, acc2, std2, xnorm, embeddings_list.

    Parameters
    ----------
    data_set : ([images, mirrored], issame)
        From `load_bin` or `load_pairs`.
    mx_model : mx.mod.Module
        Bound for `batch_size` images; its first output is the embedding. A training module serves.
    batch_size, nfolds : int
    data_extra, label_shape
        As for `src.common.embedding.embed`.

    Returns
    -------
    acc1, std1 : float
        Mean accuracy over the folds, and its standard deviation, with the images' own embeddings.
        (2018 gave 0, 0.)
    acc2, std2 : float
        With the sums of the embeddings of image and mirror image.
    xnorm : float
        Mean norm of the embeddings.
    embeddings_list : list of ndarray, each (2P, D)
        Of the images and of the mirrored; not normalised.
    """
    result = measure(data_set, mx_model, batch_size, nfolds, data_extra, label_shape)
    return (*result.accuracy, *result.accuracy_flip, result.xnorm, result.embeddings_list)


def choose_epochs(model, newest_range):
    """(prefix, epochs) of `--model` and `--max`.

    Parameters
    ----------
    model : str
        prefix,epoch; prefix,1|2|3; or a prefix: all epochs, the newest first.
    newest_range : str
        'a,b' takes the a-th to the b-th (not included) of those, where there are more than b.
    """
    prefix, epochs = parse_model(model)
    if split_model(model)[1] is not None:
        return prefix, epochs
    if newest_range:
        bounds = newest_range.split(",")
        if len(bounds) != 2 or not all(bound.strip().isdigit() for bound in bounds):
            raise InputError(f"--max {newest_range}: expected two numbers a,b")
        first, behind = map(int, bounds)
        if first >= behind:
            raise InputError(f"--max {newest_range}: the first number has to be below the second")
        if len(epochs) > behind:
            epochs = epochs[first:behind]
    return prefix, epochs


def find_targets(data_dir, target):
    """{name: path} of the sets of `--target` that are there; the others are named in a warning."""
    names = [name.strip() for name in target.split(",") if name.strip()]
    paths = {name: os.path.join(data_dir, f"{name}.bin") for name in names}
    there = {name: path for name, path in paths.items() if os.path.isfile(path)}
    if not there:
        beside = os.listdir(data_dir or ".")
        found = sorted(name[:-4] for name in beside if name.endswith(".bin"))
        raise InputError(
            f"--target {target}: none of {', '.join(paths.values()) or '(nothing)'} exists; "
            f"{data_dir or 'this folder'} holds {', '.join(found) or 'no .bin file at all'}"
        )
    for name in names:
        if name not in there:
            log.warning("%s is missing: %s is left out", paths[name], name)
    return there


def model_loader(prefix, context, batch_size, image_size):
    """A function from an epoch to the bound model; it keeps the one that it gave last."""

    @functools.lru_cache(maxsize=1)
    def load_model(epoch):
        print("loading", prefix, epoch)
        start = time.monotonic()
        checkpoint = checkpoints.load(prefix, epoch)
        model = checkpoints.bind_embedding(*checkpoint, context, batch_size, image_size)
        print("model loading time", time.monotonic() - start)
        return model

    return load_model


def verify(targets, image_size, epochs, load_model, batch_size, nfolds):
    """Measures all models on all sets, prints the figures, and returns them by set.

    Each set has the figures of its best model (its `epoch`), and under `models` those of every one.
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
            print_figures(name, models[-1])
        best = max(models, key=lambda figures: figures["accuracy_flip"])
        print(f"Max of [{name}] is {best['accuracy_flip']:1.5f}")
        without_curve = [{key: row[key] for key in row if key != "roc"} for row in models]
        results[name] = {**best, "models": without_curve}
    return results


def parse_args(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", default="", help="folder of property and the .bin files")
    parser.add_argument(
        "--model", default="../model/softmax,50", help="prefix,epoch; prefix,1|2|3; or prefix: all"
    )
    parser.add_argument(
        "--target", default="lfw,cfp_ff,cfp_fp,agedb_30", help="names of .bin files, without .bin"
    )
    parser.add_argument("--gpu", default=0, type=int, help="number of the GPU; -1: the CPU")
    parser.add_argument("--batch-size", default=32, type=int, help="images at a time")
    parser.add_argument(
        "--max", default="", help="with a prefix: a,b takes the a-th to before the b-th newest"
    )
    parser.add_argument(
        "--mode",
        default=0,
        type=int,
        choices=(0, 1, 2),
        help="0 figures, 1 pictures of the wrong pairs, 2 embeddings (1, 2: first set and model)",
    )
    parser.add_argument("--nfolds", default=10, type=int, help="folds that the pairs are dealt to")
    parser.add_argument(
        "--output",
        default="",
        help="mode 0: file for the figures and ROC curves (JSON); mode 1: folder for the pictures "
        "(./badcases); mode 2: file for the embeddings (temp.bin)",
    )
    args = parser.parse_args(argv)
    if args.batch_size < 1 or args.nfolds < 1:
        parser.error("--batch-size and --nfolds are at least 1")
    return args


def run(args):
    """Does what the command line asks for."""
    image_size = load_property(args.data_dir).image_size
    print("image_size", image_size)
    prefix, epochs = choose_epochs(args.model, args.max)
    targets = find_targets(args.data_dir, args.target)
    print("model number", len(epochs))
    context = single_context(args.gpu)
    load_model = model_loader(prefix, context, args.batch_size, image_size)
    output = getattr(args, "output", "")  # a Namespace of 2018 has none
    if args.mode == 0:
        results = verify(targets, image_size, epochs, load_model, args.batch_size, args.nfolds)
        if output:
            with whole_file(output, "w") as file:
                json.dump({"model": args.model, "targets": results}, file, indent=1)
        return
    name, path = next(iter(targets.items()))
    if len(targets) > 1 or len(epochs) > 1:
        log.warning("--mode %d takes one set and one model: %s, %d", args.mode, name, epochs[0])
    print("loading.. ", name)
    data_set, model = load_pairs(path, image_size), load_model(epochs[0])
    if args.mode == 1:
        folder = output or "./badcases"
        paths = test_badcase(
            data_set, model, args.batch_size, name, nfolds=args.nfolds, folder=folder
        )
    else:
        paths = [dumpR(data_set, model, args.batch_size, name, path=output)]
    print("written:", ", ".join(paths))


def main(args=None):
    """The command."""
    args = resolve_arguments(parse_args, args)
    configure_logging()
    run(args)


if __name__ == "__main__":
    run_command(main)
