"""What both training commands do with their flags, and print before the first batch."""

import logging
import os

from src.common.devices import training_contexts
from src.common.errors import InputError
from src.training import preparation
from src.training.networks import build_embedding, parse_network
from src.training.resume import seed_generators
from src.training.run import Settings
from src.training.schedule import Schedule, describe, learning_rate_steps

log = logging.getLogger(__name__)

DEFAULT_PER_BATCH_SIZE = 128

# Flags that a run must have in common with the state it goes on from.
IDENTITY = (
    *("network", "version_se", "version_input", "version_output", "version_unit", "version_act"),
    *("emb_size", "loss_type", "num_classes", "batch_size", "ctx_num"),
)


def check_flags(parser, args):
    """Ends with the parser's error for what the command line alone can tell."""
    try:
        embedding_of(args)
    except InputError as error:
        parser.error(str(error))
    if args.per_batch_size < 0:
        parser.error(f"--per-batch-size {args.per_batch_size}: expected a positive number")
    if not args.lr > 0:
        parser.error(f"--lr {args.lr:g}: expected a positive number")


def begin(args):
    """(contexts, TrainingSet); seeds the generators, completes `args` and prints what it found.

    2018: the numbers that devices and data set add are put into `args`, where `get_symbol` looks
    for them. A network that cannot be built is refused before any data is touched.
    """
    embedding_of(args)
    if args.use_deformable:
        log.warning("--use-deformable has no effect: no network has deformable convolutions")
    contexts = training_contexts(args.devices)
    if contexts[0].device_type == "gpu":
        print("gpu num:", len(contexts))
    else:
        print("use cpu" if len(contexts) == 1 else f"use cpu, {len(contexts)} times")
    args.ctx_num = len(contexts)
    args.num_layers = parse_network(args.network)[1]
    print("num_layers", args.num_layers)
    args.per_batch_size = args.per_batch_size or DEFAULT_PER_BATCH_SIZE
    args.batch_size = args.per_batch_size * args.ctx_num
    args.rescale_threshold = 0
    args.image_channel = 3
    training_set = preparation.find_training_set(args.data_dir)
    args.num_classes = training_set.num_classes
    args.image_h, args.image_w = training_set.image_size
    print("image_size", training_set.image_size)
    print("num_classes", args.num_classes)
    args.seed = preparation.chosen_seed(args.seed)
    seed_generators(args.seed)
    print("Called with argument:", args)
    return contexts, training_set


def embedding_of(args):
    """The symbol of the network that the flags describe, without its head."""
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


def settings(args):
    """The `Settings` of a run."""
    folder = os.path.dirname(args.prefix) or "."
    os.makedirs(folder, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise InputError(f"--prefix {args.prefix}: cannot write in {folder}")
    identity = {name: getattr(args, name) for name in IDENTITY}
    return Settings(args.prefix, args.ckpt, args.verbose, args.resume, args.seed, identity)


def make_schedule(args, batches_per_epoch):
    """The `Schedule` of a run; prints its steps."""
    steps = learning_rate_steps(args.lr_steps, args.loss_type, args.batch_size)
    print("lr_steps", steps)
    return Schedule(
        args.lr,
        steps,
        batches_per_epoch,
        args.end_epoch,
        args.max_steps,
        getattr(args, "beta_freeze", 0),  # train_triplet has no such flag
    )


def announce(plan, images, batch_size):
    """Logs how the run will go."""
    for line in describe(plan, images, batch_size):
        log.info(line)


def announce_loss(expected, num_classes, loss_type):
    """Logs what loss and accuracy are normal at first."""
    log.info(
        "loss to expect of an untrained network: %.2f%s; accuracy begins at 1/%d and stays near 0 "
        "for long where the classes are many%s",
        expected,
        f" (ln {num_classes})" if loss_type == 0 else "",
        num_classes,
        "" if loss_type == 0 else ", as the margin counts in it",
    )
