"""Trains a network on identities, with a softmax or a margin loss.

    python -u -m src.train_softmax --data-dir faces --prefix models/y1/model --network y1 \\
        --emb-size 128 --version-output GNAP --loss-type 4

Writes `PREFIX-symbol.json` and `PREFIX-0001.params`, … after verifications (every `--verbose`
batches) and at the end, depending on `--ckpt`.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../.."))

import argparse
from collections.abc import Sequence

from src.common.arguments import resolve_arguments, share
from src.common.errors import InputError, run_command
from src.common.log import appended_log, configure_logging
from src.common.mxnet_backend import Parameters, mx
from src.loading.face_iter import DROP, KEEP, LAST_BATCH, FaceImageIter
from src.losses.metrics import AccMetric, LossValueMetric
from src.losses.registry import classification_losses
from src.training import command
from src.training.from_flags import symbol_of
from src.training.hooks import Hook
from src.training.later_flags import reject_later_flags
from src.training.preparation import TrainingSet, check_labels
from src.training.trainer import Trainer

__all__ = ["AccMetric", "LossValueMetric", "get_symbol", "main", "parse_args", "train_net"]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: 2018's flags and defaults, and a few more."""
    losses = classification_losses()
    parser, groups = command.shared_parser(__doc__, losses, default_loss=4, ckpt=1)
    add = groups["loss"].add_argument
    add("--scale", type=float, default=0.9993, help="no effect: it belonged to 2018's own operator")
    add = groups["network"].add_argument
    add("--bn-mom", type=float, default=0.9, help="momentum of batch normalisation")
    add = groups["optimizer"].add_argument
    add("--fc7-wd-mult", type=float, default=1.0, help="factor for the classifier's weight decay")
    add("--fc7-lr-mult", type=float, default=1.0, help="factor for the classifier's learning rate")
    groups["data"].add_argument(
        "--last-batch",
        choices=LAST_BATCH,
        default=DROP,
        help="images at the end of an epoch that do not fill a batch: leave them out, take a "
        "smaller batch, or fill it with the first images of the epoch",
    )
    add = groups["devices"].add_argument
    add(
        "--fc7-shard",
        action="store_true",
        help="divide the classes among the devices: for many classes [loss 0, 2, 4, 5]",
    )
    add(
        "--fc7-sample",
        type=share,
        default=1.0,
        metavar="RATE",
        help="share of the classes in each step, above 0 to 1; below 1 implies --fc7-shard",
    )
    reject_later_flags(parser, argv)
    args = parser.parse_args(argv)
    args.fc7_shard |= args.fc7_sample < 1
    command.check_flags(parser, args)
    return args


def get_symbol(
    args: argparse.Namespace, arg_params: Parameters | None, aux_params: Parameters | None
) -> tuple[mx.sym.Symbol, Parameters | None, Parameters | None]:
    """(symbol, arg_params, aux_params): the network with its classifier, the rest as given.

    Parameters
    ----------
    args
        From `parse_args`, with `num_classes` added.
    """
    return symbol_of(args, arg_params, aux_params)


def make_data(
    args: argparse.Namespace, training_set: TrainingSet, trainer: Trainer
) -> FaceImageIter:
    """Shuffled batches of all images."""
    data = FaceImageIter(
        args.batch_size,
        (3, *training_set.image_size),
        training_set.path_imgrec,
        shuffle=True,
        rand_mirror=bool(args.rand_mirror),
        cutoff=args.cutoff,
        threads=args.threads,
        workers=trainer.workers,
    )
    data.last_batch = args.last_batch
    if args.last_batch == KEEP and trainer.workers.count > 1:
        raise InputError("--last-batch keep works with one worker only; use wrap or drop")
    remaining = data.num_samples() % args.batch_size
    if args.last_batch == KEEP and 0 < remaining < args.ctx_num:
        raise InputError(
            f"--last-batch keep: the last batch would have {remaining} images for {args.ctx_num} "
            "devices; use wrap or drop, or another --per-batch-size"
        )
    check_labels(data.reader, data.id2range, args.num_classes)
    return data


def train_net(args: argparse.Namespace, hooks: Sequence[Hook] = ()) -> None:
    """Trains with the given flags.

    Parameters
    ----------
    args
        2018: the values that depend on the data set and the devices are added (`num_classes`,
        `batch_size`, `ctx_num`, `num_layers`, `image_h`, `image_w`, `image_channel`).
    hooks
        Called after the run's own hooks; CONTRIBUTING shows one.
    """
    command.train(args, make_data, hooks)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    args = resolve_arguments(parse_args, args)
    configure_logging()
    with appended_log(args.log_file):
        train_net(args)


if __name__ == "__main__":
    run_command(main)
