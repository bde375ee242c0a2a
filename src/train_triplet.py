"""Fine-tunes a network with the triplet loss, on triplets mined during training.

    python -u -m src.train_triplet --data-dir faces --prefix models/triplet/model --network y1 \\
        --emb-size 128 --version-output GNAP --lr 0.005 --pretrained models/y1/model,1

Writes `PREFIX-symbol.json` and `PREFIX-0001.params`, … after verifications (every `--verbose`
batches) and at the end, depending on `--ckpt`.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../.."))

import argparse
import logging
from collections.abc import Sequence

from src.common.arguments import positive_int, resolve_arguments
from src.common.errors import InputError, run_command
from src.common.log import appended_log, configure_logging
from src.common.mxnet_backend import Parameters, mx
from src.loading.triplet_iter import FaceImageIter
from src.losses.metrics import AccMetric, LossValueMetric
from src.losses.triplet import Triplet
from src.training import arguments, command
from src.training.from_flags import symbol_of
from src.training.hooks import Hook
from src.training.later_flags import reject_later_flags
from src.training.preparation import TrainingSet
from src.training.trainer import Trainer

__all__ = ["AccMetric", "LossValueMetric", "get_symbol", "main", "parse_args", "train_net"]

log = logging.getLogger(__name__)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: 2018's flags and defaults, and a few more."""
    losses = {Triplet.number: Triplet}
    parser, groups = command.shared_parser(__doc__, losses, default_loss=Triplet.number, ckpt=2)
    add = groups["data"].add_argument
    add("--images-per-identity", type=positive_int, default=5, help="maximum in a bag")
    add(
        "--triplet-bag-size", type=positive_int, default=3600, help="images that are mined together"
    )
    add(
        "--triplet-max-ap",
        type=float,
        default=0.0,
        help="skip positive pairs with a larger squared distance; 0: skip none",
    )
    add = groups["optimizer"].add_argument
    add("--noise-sgd", type=float, default=0.0, help="standard deviation of noise on the gradients")
    reject_later_flags(parser, argv)
    args = parser.parse_args(argv)
    command.check_flags(parser, args)
    return args


def get_symbol(
    args: argparse.Namespace,
    arg_params: Parameters | None,
    aux_params: Parameters | None,
    sym_embedding: mx.sym.Symbol | None = None,
) -> tuple[mx.sym.Symbol, Parameters | None, Parameters | None]:
    """(symbol, arg_params, aux_params): the network with the triplet loss, the rest as given.

    Parameters
    ----------
    args
        From `parse_args`.
    sym_embedding
        (N, D), used instead of the network that the flags describe.
    """
    return symbol_of(args, arg_params, aux_params, sym_embedding)


def whole_triplets(per_batch_size: int) -> int:
    """The largest multiple of 3 up to `per_batch_size`; InputError if there is none.

    2018: with its default of 128, data and loss divided a batch into different thirds.
    """
    if per_batch_size < 3:
        raise InputError(f"--per-batch-size {per_batch_size}: a triplet needs 3 images")
    if per_batch_size % 3:
        log.warning(
            "--per-batch-size %d is not a multiple of 3: %d is used",
            per_batch_size,
            per_batch_size - per_batch_size % 3,
        )
    return per_batch_size - per_batch_size % 3


def make_data(
    args: argparse.Namespace, training_set: TrainingSet, trainer: Trainer
) -> FaceImageIter:
    """Batches of triplets, mined with the trainer's network."""
    return FaceImageIter(
        args.batch_size,
        (3, *training_set.image_size),
        training_set.path_imgrec,
        shuffle=True,
        rand_mirror=bool(args.rand_mirror),
        cutoff=args.cutoff,
        ctx_num=args.ctx_num,
        images_per_identity=args.images_per_identity,
        triplet_params=[args.triplet_bag_size, args.triplet_alpha, args.triplet_max_ap],
        mx_model=trainer.module,
        threads=args.threads,
        workers=trainer.workers,
    )


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
    args.per_batch_size = whole_triplets(args.per_batch_size or arguments.PER_BATCH_SIZE)
    command.train(args, make_data, hooks)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    args = resolve_arguments(parse_args, args)
    configure_logging()
    with appended_log(args.log_file):
        train_net(args)


if __name__ == "__main__":
    run_command(main)
