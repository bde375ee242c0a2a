"""Trains a network on identities, with a softmax or a margin loss.

    python -u -m src.train_softmax --data-dir faces --prefix models/y1/model --network y1 \\
        --emb-size 128 --version-output GNAP --loss-type 4

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
    resolve_arguments,
)
from src.common.errors import InputError, run_command
from src.common.log import appended_log, configure_logging
from src.common.mxnet_backend import mx
from src.image_iter import FaceImageIter
from src.training import command, preparation, schedule
from src.training.heads import classification_head
from src.training.margins import CLASSIFICATION_LOSSES, check_margins
from src.training.metrics import AccMetric, CrossEntropyMetric, LossValueMetric
from src.training.model import TrainingModel
from src.training.networks import adopt_parameters, initializer
from src.training.run import Run, make_optimizer

__all__ = ["AccMetric", "LossValueMetric", "get_symbol", "main", "parse_args", "train_net"]

log = logging.getLogger(__name__)


def parse_args(argv=None):
    """The Namespace of a command line; 2018's flags and defaults, and a few more."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_run_arguments(parser, ckpt=1)
    add_network_arguments(parser)
    add_optimizer_arguments(parser)
    add_image_arguments(parser)
    add_loss_arguments(parser)
    args = parser.parse_args(argv)
    command.check_flags(parser, args)
    try:
        check_loss(args)
    except InputError as error:
        parser.error(str(error))
    return args


def add_loss_arguments(parser):
    """The classifier, its margin, and SphereFace's annealing."""
    add = parser.add_argument
    add(
        "--loss-type",
        type=int,
        default=4,
        choices=sorted(CLASSIFICATION_LOSSES),
        help="; ".join(f"{number} {name}" for number, name in CLASSIFICATION_LOSSES.items()),
    )
    add("--fc7-wd-mult", type=float, default=1.0, help="factor to the classifier's weight decay")
    add("--fc7-lr-mult", type=float, default=1.0, help="factor to the classifier's learning rate")
    add("--fc7-no-bias", action="store_true", help="softmax without a bias")
    add("--bn-mom", type=float, default=0.9, help="momentum of batch normalisation")
    add("--margin-m", type=float, default=0.5, help="margin: an angle (4, 5) or a cosine (2)")
    add("--margin-s", type=float, default=64.0, help="scale of the logits")
    add("--margin-a", type=float, default=1.0, help="factor to the angle (5)")
    add("--margin-b", type=float, default=0.0, help="margin taken from the cosine (5)")
    add("--easy-margin", type=int, default=0, help="1: no margin beyond 90° (4)")
    add("--margin", type=int, default=4, help="SphereFace's factor to the angle (1)")
    add("--beta", type=float, default=1000.0, help="SphereFace's annealing: start (1)")
    add("--beta-min", type=float, default=5.0, help="SphereFace's annealing: end (1)")
    add("--beta-freeze", type=int, default=0, help="batches before annealing and --lr-steps begin")
    add("--gamma", type=float, default=0.12, help="SphereFace's annealing (1)")
    add("--power", type=float, default=1.0, help="SphereFace's annealing (1)")
    add("--scale", type=float, default=0.9993, help="of 2018's own operator; without effect here")


def check_loss(args):
    """InputError for a margin or an annealing that cannot be."""
    margins = (args.margin_s, args.margin_m, args.margin_a, args.margin_b, args.margin, args.beta)
    check_margins(args.loss_type, *margins)
    if args.loss_type == schedule.SPHERE_LOSS:
        schedule.check_annealing(annealing_of(args))


def annealing_of(args):
    """SphereFace's `Annealing` as the flags say."""
    return schedule.Annealing(args.beta, args.beta_min, args.beta_freeze, args.gamma, args.power)


def anneal_many_classes(args):
    """2018: SphereFace on many classes anneals later and more slowly, whatever the flags say."""
    if args.loss_type != schedule.SPHERE_LOSS or args.num_classes <= schedule.MANY_CLASSES:
        return
    args.beta_freeze = schedule.MANY_CLASSES_FREEZE
    args.gamma = schedule.MANY_CLASSES_GAMMA
    log.info(
        "SphereFace with more than %d classes: --beta-freeze is %d and --gamma %g, as in 2018",
        schedule.MANY_CLASSES,
        args.beta_freeze,
        args.gamma,
    )


def make_plan(args, batches_per_epoch):
    """The `Schedule` of a run, with the annealing that its loss has."""
    plan = command.make_schedule(args, batches_per_epoch)
    if args.loss_type == schedule.SPHERE_LOSS:
        return plan._replace(annealing=annealing_of(args))
    return plan


def expected_loss(args):
    """Loss to expect at first."""
    if args.loss_type == schedule.SPHERE_LOSS:
        return schedule.sphere_loss_at_start(
            args.num_classes, args.emb_size, args.margin, args.beta
        )
    margins = (args.margin_s, args.margin_m, args.margin_a, args.margin_b)
    return schedule.loss_at_start(args.loss_type, args.num_classes, args.emb_size, margins)


def get_symbol(args, arg_params, aux_params):
    """(symbol, arg_params, aux_params): the network with its classifier, the rest as given.

    Parameters
    ----------
    args : argparse.Namespace
        As `parse_args` gives, and `num_classes`.
    arg_params, aux_params : dict or None
    """
    symbol = classification_head(
        command.embedding_of(args),
        args.num_classes,
        args.loss_type,
        args.margin_s,
        args.margin_m,
        args.margin_a,
        args.margin_b,
        bool(args.easy_margin),
        args.fc7_wd_mult,
        args.fc7_lr_mult,
        args.fc7_no_bias,
        args.emb_size,
        args.margin,
        args.beta,
    )
    return symbol, adopt_parameters(symbol, arg_params), aux_params


def train_net(args):
    """Trains as the flags say.

    Parameters
    ----------
    args : argparse.Namespace
        2018: gets the numbers that the data set and the devices add (`num_classes`, `batch_size`,
        `ctx_num`, `num_layers`, `image_h`, `image_w`, `image_channel`).
    """
    check_loss(args)
    contexts, training_set = command.begin(args)
    anneal_many_classes(args)
    data_shape = (3, *training_set.image_size)
    arg_params, aux_params = preparation.load_pretrained(args.pretrained, args.num_classes)
    symbol, arg_params, aux_params = get_symbol(args, arg_params, aux_params)
    train_data = FaceImageIter(
        args.batch_size,
        data_shape,
        training_set.path_imgrec,
        shuffle=True,
        rand_mirror=bool(args.rand_mirror),
        cutoff=args.cutoff,
        threads=args.threads,
    )
    preparation.check_labels(train_data.reader, train_data.id2range, args.num_classes)
    targets = preparation.load_targets(args.data_dir, args.target, training_set.image_size)
    run = Run(TrainingModel(symbol, contexts), train_data, command.settings(args))
    run.bind(initializer(args.network), arg_params, aux_params)
    plan = make_plan(args, train_data.batches_per_epoch)
    command.announce(plan, train_data.num_samples(), args.batch_size)
    command.announce_loss(expected_loss(args), args.num_classes, args.loss_type)
    run.train(
        make_optimizer(
            args.lr,
            args.mom,
            args.wd,
            args.ctx_num,
            fc7_lr_mult=args.fc7_lr_mult,
            fc7_wd_mult=args.fc7_wd_mult,
        ),
        plan,
        mx.metric.CompositeEvalMetric([AccMetric(), CrossEntropyMetric()]),
        preparation.verifier(targets, run.model.module, args.batch_size),
    )


def main(args=None):
    """Runs the command; `args` None, a list of strings, or a Namespace."""
    args = resolve_arguments(parse_args, args)
    configure_logging()
    with appended_log(args.log_file):
        train_net(args)


if __name__ == "__main__":
    run_command(main)
