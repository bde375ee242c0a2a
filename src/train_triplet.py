"""Fine-tunes a network with the triplet loss, on triplets mined as it goes.

    python -u -m src.train_triplet --data-dir faces --prefix models/triplet/model --network y1 \\
        --emb-size 128 --version-output GNAP --lr 0.005 --pretrained models/y1/model,1

Writes `PREFIX-symbol.json` and `PREFIX-0001.params` … after verifications (every `--verbose`
batches) and at the end, as `--ckpt` says.
"""

import argparse
import logging

from src.common.arguments import (
    add_image_arguments,
    add_network_arguments,
    add_optimizer_arguments,
    add_run_arguments,
    positive_int,
    resolve_arguments,
)
from src.common.errors import InputError, run_command
from src.common.log import appended_log, configure_logging
from src.common.mxnet_backend import mx
from src.training import command, preparation
from src.training.heads import triplet_head
from src.training.metrics import AccMetric, LossValueMetric
from src.training.model import TrainingModel
from src.training.networks import adopt_parameters, initializer
from src.training.run import Run, make_optimizer
from src.training.schedule import TRIPLET_LOSS
from src.triplet_image_iter import FaceImageIter

__all__ = ["AccMetric", "LossValueMetric", "get_symbol", "main", "parse_args", "train_net"]

log = logging.getLogger(__name__)


def parse_args(argv=None):
    """The Namespace of a command line; 2018's flags and defaults, and a few more."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_run_arguments(parser, ckpt=2)
    add_network_arguments(parser)
    add_optimizer_arguments(parser)
    add_image_arguments(parser)
    add_triplet_arguments(parser)
    args = parser.parse_args(argv)
    command.check_flags(parser, args)
    return args


def add_triplet_arguments(parser):
    """Mining, and the noise on the gradients."""
    parser.add_argument(
        "--loss-type", type=int, default=TRIPLET_LOSS, choices=[TRIPLET_LOSS], help="12 triplet"
    )
    parser.add_argument(
        "--noise-sgd", type=float, default=0.0, help="standard deviation of noise on the gradients"
    )
    parser.add_argument(
        "--images-per-identity", type=positive_int, default=5, help="in a bag, at most"
    )
    parser.add_argument(
        "--triplet-bag-size", type=positive_int, default=3600, help="images mined at a time"
    )
    parser.add_argument(
        "--triplet-alpha", type=float, default=0.3, help="margin between squared distances"
    )
    parser.add_argument(
        "--triplet-max-ap",
        type=float,
        default=0.0,
        help="leave out positive pairs with a larger squared distance; 0: none",
    )


def get_symbol(args, arg_params, aux_params, sym_embedding=None):
    """(symbol, arg_params, aux_params): the network with the triplet loss, the rest as given.

    Parameters
    ----------
    args : argparse.Namespace
        As `parse_args` gives.
    arg_params, aux_params : dict or None
    sym_embedding : Symbol, optional
        (N, D), instead of the network that the flags describe.
    """
    embedding = command.embedding_of(args) if sym_embedding is None else sym_embedding
    symbol = triplet_head(embedding, args.triplet_alpha)
    return symbol, adopt_parameters(symbol, arg_params), aux_params


def whole_triplets(per_batch_size):
    """The largest multiple of 3 in it; InputError where there is none.

    2018: with its default of 128 the thirds of a batch were not those of the loss.
    """
    if per_batch_size < 3:
        raise InputError(f"--per-batch-size {per_batch_size}: a triplet takes 3 images")
    if per_batch_size % 3:
        log.warning(
            "--per-batch-size %d is no multiple of 3: %d is used",
            per_batch_size,
            per_batch_size - per_batch_size % 3,
        )
    return per_batch_size - per_batch_size % 3


def train_net(args):
    """Trains as the flags say.

    Parameters
    ----------
    args : argparse.Namespace
        2018: gets the numbers that the data set and the devices add (`num_classes`, `batch_size`,
        `ctx_num`, `num_layers`, `image_h`, `image_w`, `image_channel`).
    """
    args.per_batch_size = whole_triplets(args.per_batch_size or command.DEFAULT_PER_BATCH_SIZE)
    contexts, training_set = command.begin(args)
    arg_params, aux_params = preparation.load_pretrained(args.pretrained, None)
    symbol, arg_params, aux_params = get_symbol(args, arg_params, aux_params)
    model = TrainingModel(symbol, contexts)
    train_data = FaceImageIter(
        args.batch_size,
        (3, *training_set.image_size),
        training_set.path_imgrec,
        shuffle=True,
        rand_mirror=bool(args.rand_mirror),
        cutoff=args.cutoff,
        ctx_num=args.ctx_num,
        images_per_identity=args.images_per_identity,
        triplet_params=[args.triplet_bag_size, args.triplet_alpha, args.triplet_max_ap],
        mx_model=model.module,
        threads=args.threads,
    )
    targets = preparation.load_targets(args.data_dir, args.target, training_set.image_size)
    run = Run(model, train_data, command.settings(args))
    run.bind(initializer(args.network), arg_params, aux_params)
    # How many batches an epoch has is known when its triplets are mined.
    plan = command.make_schedule(args, None)
    command.announce(plan, train_data.triplet_bag_size, args.batch_size)
    log.info(
        "loss to expect: from 0 to the margin %g all along, as triplets outside of that are not "
        "mined; progress shows in how few a bag gives",
        args.triplet_alpha,
    )
    run.train(
        make_optimizer(args.lr, args.mom, args.wd, args.ctx_num, args.noise_sgd),
        plan,
        mx.metric.CompositeEvalMetric([LossValueMetric()]),
        preparation.verifier(targets, model.module, args.batch_size),
    )


def main(args=None):
    """Runs the command; `args` None, a list of strings, or a Namespace."""
    args = resolve_arguments(parse_args, args)
    configure_logging()
    with appended_log(args.log_file):
        train_net(args)


if __name__ == "__main__":
    run_command(main)
