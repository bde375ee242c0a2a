"""The network, loss, classifier and schedule that the flags of a training command describe."""

import argparse
import math
from collections.abc import Sequence

from src.checkpoints.parameters import adopt_parameters
from src.common.errors import InputError
from src.common.mxnet_backend import Parameters, mx
from src.common.workers import Workers
from src.losses import registry
from src.losses.base import ClassWeights, Loss
from src.losses.classification import ClassificationLoss
from src.symbols.table import build_embedding
from src.training.classifiers import Classifier, DenseClassifier
from src.training.schedule import STEP, Schedule, learning_rate_steps
from src.training.sharded_classifier import ShardedClassifier


def embedding_of(args: argparse.Namespace) -> mx.sym.Symbol:
    """The symbol of the network that the flags describe, up to its embedding."""
    return build_embedding(
        args.network,
        args.emb_size,
        version_se=args.version_se,
        version_input=args.version_input,
        version_output=args.version_output,
        version_unit=args.version_unit,
        version_act=args.version_act,
        bn_mom=getattr(args, "bn_mom", 0.9),  # train_triplet has no such flag
    )


def with_head(args: argparse.Namespace, head: str) -> mx.sym.Symbol:
    """`embedding_of` the flags with another `--version-output`."""
    return embedding_of(argparse.Namespace(**{**vars(args), "version_output": head}))


def loss_of(args: argparse.Namespace) -> Loss:
    """The loss that the flags describe."""
    return registry.create(args.loss_type, vars(args))


def classifier_of(args: argparse.Namespace) -> DenseClassifier:
    """The undivided classifier that the flags describe, for `args.num_classes` classes.

    For a loss without classes, their number is 0.
    """
    loss = loss_of(args)
    classes = args.num_classes if isinstance(loss, ClassificationLoss) else 0
    weights = ClassWeights(classes, args.emb_size, *multipliers_of(args))
    return DenseClassifier(loss.for_classes(classes), weights)


def divided(
    classifier: DenseClassifier,
    args: argparse.Namespace,
    contexts: Sequence[mx.Context],
    workers: Workers,
) -> Classifier:
    """The classifier, divided among the devices if `--fc7-shard` or `--fc7-sample` says so."""
    if not getattr(args, "fc7_shard", False):
        return classifier
    return ShardedClassifier(
        classifier.loss, classifier.weights, contexts, args.fc7_sample, workers
    )


def multipliers_of(args: argparse.Namespace) -> tuple[float, float]:
    """Learning-rate and weight-decay multipliers of the class vectors."""
    return getattr(args, "fc7_lr_mult", 1.0), getattr(args, "fc7_wd_mult", 1.0)


def schedule_of(args: argparse.Namespace, loss: Loss, batches_per_epoch: int | None) -> Schedule:
    """The schedule of a run; prints its steps."""
    steps = learning_rate_steps(args.lr_steps, loss, args.batch_size * args.num_workers)
    if args.lr_scheduler == STEP:
        print("lr_steps", steps)
    # 2018: --beta-freeze delays the steps of every loss; train_triplet has no such flag.
    delay = getattr(loss, "beta_freeze", getattr(args, "beta_freeze", 0))
    schedule = Schedule(
        args.lr,
        steps,
        batches_per_epoch,
        args.end_epoch,
        args.max_steps,
        delay,
        args.lr_scheduler,
        args.warmup_steps,
    )
    if schedule.form != STEP and math.isinf(schedule.last_step):  # epochs of triplets differ
        raise InputError(f"--lr-scheduler {schedule.form} needs --max-steps with this loss")
    if schedule.warmup >= schedule.last_step:
        raise InputError(
            f"--warmup-steps {schedule.warmup}: the run ends after batch {schedule.last_step}"
        )
    return schedule


def symbol_of(
    args: argparse.Namespace,
    arg_params: Parameters | None,
    aux_params: Parameters | None,
    embedding: mx.sym.Symbol | None = None,
) -> tuple[mx.sym.Symbol, Parameters | None, Parameters | None]:
    """(symbol, arg_params, aux_params) for the commands' `get_symbol`."""
    if embedding is None:
        embedding = embedding_of(args)
    symbol = classifier_of(args).saved_graph(embedding)
    return symbol, adopt_parameters(symbol, arg_params), aux_params
