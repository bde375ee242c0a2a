"""The common part of `train_softmax` and `train_triplet`: flags, checks, and the run itself.

Each command adds its losses, its flags and the iterator that samples its batches.
"""

import argparse
import contextlib
import functools
import logging
import os
from collections.abc import Callable, Mapping, Sequence

from src.checkpoints.parameters import adopt_parameters
from src.common.arguments import make_parser
from src.common.devices import training_contexts
from src.common.errors import InputError
from src.common.locks import only_process
from src.common.mxnet_backend import Parameters, mx
from src.common.workers import Workers, join_workers
from src.losses import registry
from src.losses.base import Loss
from src.losses.classification import ClassificationLoss
from src.symbols.table import find_network, initializer
from src.training import arguments, memory
from src.training.classifiers import Classifier
from src.training.earlier_run import lock_path, move_aside, refuse_earlier_run
from src.training.from_flags import (
    classifier_of,
    divided,
    embedding_of,
    loss_of,
    multipliers_of,
    schedule_of,
    with_head,
)
from src.training.hooks import Hook
from src.training.joint_start import check_alike, check_half, only_first_speaks
from src.training.optimizer import make_optimizer
from src.training.preparation import (
    TrainingSet,
    check_prefix,
    find_training_set,
    load_pretrained,
    warn_of_other_head,
)
from src.training.resume import DATA_SET, data_set_identity, state_path
from src.training.run import Run
from src.training.run_settings import ResumableData, RunSettings
from src.training.schedule import Schedule, describe
from src.training.seeds import chosen_seed, seed_generators
from src.training.sharded_classifier import check_divisible
from src.training.trainer import Trainer
from src.training.verification import Verifier, load_targets

log = logging.getLogger(__name__)

# Settings that a resumed run must have in common with its state.
IDENTITY = (
    *("network", "version_se", "version_input", "version_output", "version_unit", "version_act"),
    *("emb_size", "loss_type", "num_classes", "batch_size", "ctx_num"),
    *("fc7_shard", "fc7_sample", "num_workers", "dtype"),
)

Groups = dict[str, argparse._ArgumentGroup]
MakeData = Callable[[argparse.Namespace, TrainingSet, Trainer], ResumableData]


def shared_parser(
    description: str | None, losses: Mapping[int, type[Loss]], default_loss: int, ckpt: int
) -> tuple[argparse.ArgumentParser, Groups]:
    """A parser with the flags of both commands, and its groups by title."""
    parser = make_parser(description)
    parser.set_defaults(num_workers=1)  # `begin` counts them
    groups = {
        group.title or "": group
        for group in (
            arguments.add_data_arguments(parser),
            arguments.add_network_arguments(parser),
            parser.add_argument_group("loss"),
            arguments.add_optimizer_arguments(parser),
            arguments.add_run_arguments(parser, ckpt),
            arguments.add_device_arguments(parser),
        )
    }
    groups["loss"].add_argument(
        "--loss-type",
        type=functools.partial(_loss_number, losses),
        default=default_loss,
        metavar=f"{{{','.join(map(str, sorted(losses)))}}}",
        help="; ".join(f"{number} {loss.title}" for number, loss in losses.items()),
    )
    registry.add_settings(groups["loss"], losses)
    return parser, groups


def _loss_number(losses: Mapping[int, type[Loss]], text: str) -> int:
    """The number of one of a command's losses; for `type=`."""
    own = ", ".join(f"{number} ({loss.title})" for number, loss in losses.items())
    number = int(text) if text.isdecimal() and len(text) < 9 else -1
    if number in losses:
        return number
    other = registry.losses().get(number)
    if other is None:
        raise argparse.ArgumentTypeError(f"{text}: expected one of {own}")
    command = "train_softmax" if issubclass(other, ClassificationLoss) else "train_triplet"
    raise argparse.ArgumentTypeError(
        f"{text} is the {other.title} loss, which python -m src.{command} trains; this command has "
        f"{own}"
    )


def check_flags(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exits with the parser's error for everything that can be checked from the flags alone."""
    try:
        embedding_of(args)
        loss = loss_of(args)
        if getattr(args, "fc7_shard", False):  # train_triplet has no such flag
            check_divisible(loss)
        arguments.check_schedule(args)
    except InputError as error:
        parser.error(str(error))


def begin(args: argparse.Namespace, workers: Workers) -> tuple[list[mx.Context], TrainingSet]:
    """(contexts, training set); seeds the generators, completes `args` and prints what it found.

    2018: the values that depend on devices and data set are added to `args`, where `get_symbol`
    looks for them. A network or loss that cannot be built raises an error before any data is read.
    """
    embedding_of(args)
    loss_of(args)
    check_prefix(args.prefix)
    if args.use_deformable:
        log.warning("--use-deformable has no effect: no network has deformable convolutions")
    contexts = training_contexts(args.devices)
    if contexts[0].device_type == "gpu":
        print("gpu num:", len(contexts))
    else:
        print("use cpu" if len(contexts) == 1 else f"use cpu, {len(contexts)} times")
    if args.dtype == arguments.FLOAT16:
        check_half(contexts, workers)
    args.ctx_num, args.num_workers = len(contexts), workers.count
    if workers.is_distributed:
        print("workers", workers.count)
        if getattr(args, "noise_sgd", 0.0):  # train_softmax has no such flag
            raise InputError("--noise-sgd does not work with --kvstore dist_sync: leave one out")
    args.num_layers = find_network(args.network)[1]
    print("num_layers", args.num_layers)
    args.per_batch_size = args.per_batch_size or arguments.PER_BATCH_SIZE
    args.batch_size = args.per_batch_size * args.ctx_num
    args.rescale_threshold = 0
    args.image_channel = 3
    training_set = find_training_set(args.data_dir)
    args.num_classes = training_set.num_classes
    args.image_h, args.image_w = training_set.image_size
    print("image_size", training_set.image_size)
    print("num_classes", args.num_classes)
    args.seed = workers.from_first(lambda: chosen_seed(args.seed))
    seed_generators(args.seed)
    print("Called with argument:", args)
    return contexts, training_set


def prepare_prefix(args: argparse.Namespace) -> None:
    """Creates the folder of `--prefix`, and moves an earlier run aside."""
    folder = os.path.dirname(args.prefix) or "."
    os.makedirs(folder, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise InputError(f"--prefix {args.prefix}: cannot write to {folder}")
    if args.start_over:
        move_aside(args.prefix)


def settings_of(args: argparse.Namespace, workers: Workers) -> RunSettings:
    """The settings of a run."""
    identity = {name: getattr(args, name) for name in IDENTITY if hasattr(args, name)}
    identity[DATA_SET] = data_set = data_set_identity(args.data_dir)
    check_alike(workers, args.ctx_num, args.batch_size, data_set["checksum"])
    return RunSettings(
        args.prefix,
        args.ckpt,
        args.verbose,
        args.resume,
        args.seed,
        identity,
        args.on_nan,
        args.kvstore,
    )


def announce(
    schedule: Schedule, classifier: Classifier, args: argparse.Namespace, images: int
) -> None:
    """Logs the length of the run, its rates, and what to expect of the loss."""
    expectation = classifier.describe(args.emb_size)
    batch_size = args.batch_size * args.num_workers
    for line in [*describe(schedule, images, batch_size), *expectation]:
        log.info(line)


def train(args: argparse.Namespace, make_data: MakeData, hooks: Sequence[Hook] = ()) -> None:
    """Trains with the flags' network, loss and optimizer on the batches of an iterator.

    Parameters
    ----------
    make_data
        Makes the iterator, given the flags, the training set and the trainer, not yet bound.
    hooks
        Called after the run's own hooks.
    """
    workers = join_workers(args.kvstore, args.worker_timeout)
    with workers.together(), only_first_speaks(workers):
        contexts, training_set = begin(args, workers)
        with contextlib.ExitStack() as held:
            if workers.is_first:  # it writes all files
                lock = only_process(lock_path(args.prefix), f"--prefix {args.prefix}")
                held.enter_context(lock)
                if args.ckpt and not args.start_over:
                    refuse_earlier_run(args.prefix, args.resume)
            _train(args, contexts, workers, training_set, make_data, hooks)


def _given(
    args: argparse.Namespace, classifier: Classifier, workers: Workers
) -> tuple[Parameters | None, Parameters | None]:
    """The parameters of `--pretrained`, on the first worker."""
    # The parameters of a resumed run come from its state; this checkpoint may no longer exist.
    resumed = args.resume and os.path.exists(state_path(args.prefix))
    pretrained = args.pretrained if workers.is_first and not resumed else ""
    arg_params, aux_params = load_pretrained(pretrained, classifier.num_classes or None)
    if pretrained and args.lr >= arguments.LEARNING_RATE:
        log.warning(
            "--pretrained with --lr %g: so high a rate soon destroys what the checkpoint has "
            "learnt; to fine-tune it, use 0.001 or less",
            args.lr,
        )
    if arg_params and aux_params:
        given = {*arg_params, *aux_params}
        warn_of_other_head(given, args.version_output, functools.partial(with_head, args))
    return arg_params, aux_params


def _train(
    args: argparse.Namespace,
    contexts: list[mx.Context],
    workers: Workers,
    training_set: TrainingSet,
    make_data: MakeData,
    hooks: Sequence[Hook],
) -> None:
    classifier = divided(classifier_of(args), args, contexts, workers)
    loss = classifier.loss
    arg_params, aux_params = _given(args, classifier, workers)
    loss_scale = args.loss_scale if args.dtype == arguments.FLOAT16 else None
    trainer = Trainer(embedding_of(args), classifier, contexts, workers, loss_scale)
    arg_params = adopt_parameters(trainer.symbol, arg_params)
    train_data = make_data(args, training_set, trainer)
    verified = args.target if workers.is_first else ""
    targets = load_targets(args.data_dir, verified, training_set.image_size)
    run = Run(trainer, train_data, settings_of(args, workers))
    if workers.is_first:
        prepare_prefix(args)
    data_shape = train_data.provide_data[0].shape[1:]
    memory.check(memory.estimate(trainer, args.per_batch_size, data_shape, args.mom > 0), contexts)
    run.bind(initializer(args.network), arg_params, aux_params)
    batches_per_epoch, images = train_data.epoch_length()
    schedule = schedule_of(args, loss, batches_per_epoch)
    if run.finished_steps < schedule.last_step:
        announce(schedule, classifier, args, images)
    else:
        log.info(
            "the run has already finished, with batch %d: more needs a larger --max-steps or "
            "--end-epoch",
            run.finished_steps,
        )
    lr_mult, wd_mult = multipliers_of(args)

    def optimizer_of(schedule: Schedule, finished_steps: int) -> mx.optimizer.Optimizer:
        return make_optimizer(
            schedule,
            args.mom,
            args.wd,
            args.ctx_num * args.num_workers,
            getattr(args, "noise_sgd", 0.0),  # train_softmax has no such flag
            {"fc7_weight": lr_mult},
            {"fc7_weight": wd_mult},
            finished_steps,
            loss_scale,
        )

    run.train(optimizer_of, schedule, loss, Verifier(targets, args.batch_size), hooks)
