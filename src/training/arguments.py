"""Flags that the training commands share, in the groups that `--help` shows."""

import argparse

from src.common.arguments import (
    add_seed_argument,
    natural_float,
    natural_int,
    positive_float,
    positive_int,
)
from src.common.errors import InputError
from src.training.run_settings import DEVICE, KVSTORES, ROLLBACK, STOP
from src.training.schedule import COSINE, POLYNOMIAL, STEP

FLOAT32, FLOAT16 = "float32", "float16"
LEARNING_RATE = 0.1
END_EPOCH = 100000  # 2018: as good as no end
PER_BATCH_SIZE = 128  # 2018: also for --per-batch-size 0


def lr_steps_text(text: str) -> str:
    """Returns `text` if it is empty or a list of ascending batch numbers; for `type=`."""
    steps = [part.strip() for part in text.split(",")] if text.strip() else []
    numbers = [int(part) for part in steps if part.isdecimal()]
    if len(numbers) != len(steps) or numbers != sorted(set(numbers)):
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected ascending batch numbers like 100000,140000,160000"
        )
    return text


def add_data_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Adds the flags of the images and their augmentation; returns the group."""
    group = parser.add_argument_group("data")
    group.add_argument("--data-dir", default="", help="folder of train.rec, train.idx, property")
    group.add_argument("--rand-mirror", type=int, default=1, help="1: mirror half of the images")
    group.add_argument(
        "--cutoff",
        type=natural_int,
        default=0,
        help="side in pixels of a random grey square; 0: none",
    )
    group.add_argument("--threads", type=positive_int, default=2, help="number of decoding threads")
    group.add_argument(
        "--target",
        default="lfw,cfp_fp,agedb_30",
        help="verification sets in --data-dir, without .bin; missing ones are skipped",
    )
    return group


def add_network_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Adds the flags of the network and its versions; returns the group."""
    group = parser.add_argument_group("network")
    group.add_argument(
        "--network",
        default="r50",
        help="letter and depth: r50, y1, …; or FILE.py:NAME for a NetworkSpec of your own",
    )
    add_version_arguments(group)
    return group


def add_version_arguments(
    group: argparse._ActionsContainer, version_output: str | None = "E", emb_size: int | None = 512
) -> None:
    """Adds the flags of a network's versions and of the embedding size.

    The parameters are their defaults; None stands for those of the network's published models.
    """
    add = group.add_argument
    own = " (default: that of the network's published models)"
    add("--version-se", type=int, default=0, help="squeeze-and-excitation: 0 or 1")
    add("--version-input", type=int, default=1, help="first layers: 0 ImageNet stem, 1 for 112×112")
    add(
        "--version-output",
        default=version_output,
        help="head: E, GNAP, GDC, … (y needs GNAP or GDC)"
        + (own if version_output is None else ""),
    )
    add("--version-unit", type=int, default=3, help="residual unit: 0 to 3")
    add(
        "--version-act",
        default="prelu",
        help="activation: prelu, relu, sigmoid, softrelu, softsign or tanh",
    )
    add(
        "--use-deformable",
        type=int,
        default=0,
        help="no effect: no network has deformable convolutions",
    )
    add(
        "--emb-size",
        type=int,
        default=emb_size,
        help="length of the embedding" + (own if emb_size is None else ""),
    )


def add_optimizer_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Adds the flags of batch size, learning rate and so on; returns the group."""
    group = parser.add_argument_group("optimizer")
    add = group.add_argument
    add(
        "--per-batch-size",
        type=natural_int,
        default=PER_BATCH_SIZE,
        help=f"images per batch and device; 0: {PER_BATCH_SIZE}",
    )
    add("--lr", type=positive_float, default=LEARNING_RATE, help="initial learning rate")
    add(
        "--lr-steps",
        type=lr_steps_text,
        default="",
        help="batches after which the learning rate falls to a tenth; empty: 2018's steps",
    )
    add(
        "--lr-scheduler",
        choices=(STEP, COSINE, POLYNOMIAL),
        default=STEP,
        help="how the rate falls: at --lr-steps, or over the whole run; the latter need the end of "
        "the run (--max-steps or --end-epoch)",
    )
    add(
        "--warmup-steps",
        type=natural_int,
        default=0,
        help="batches over which the rate rises to --lr",
    )
    add("--wd", type=natural_float, default=0.0005, help="weight decay")
    add("--mom", type=natural_float, default=0.9, help="momentum")
    return group


def add_run_arguments(parser: argparse.ArgumentParser, ckpt: int) -> argparse._ArgumentGroup:
    """Adds the flags of checkpoints and of the run's length; returns the group."""
    group = parser.add_argument_group("run")
    add = group.add_argument
    add("--prefix", default="../model/model", help="checkpoints are PREFIX-0001.params, …")
    add(
        "--pretrained",
        default="",
        help="start from a checkpoint: prefix,epoch, or prefix for the newest",
        metavar="MODEL",
    )
    add(
        "--ckpt",
        type=int,
        default=ckpt,
        choices=(0, 1, 2),
        help="checkpoints: 0 none, 1 when verification is good (and at the end), 2 always",
    )
    add("--end-epoch", type=positive_int, default=END_EPOCH, help="number of epochs")
    add("--max-steps", type=int, default=0, help="number of batches; 0 or less: no limit")
    add(
        "--verbose",
        type=positive_int,
        default=2000,
        help="number of batches between verifications and checkpoints",
    )
    add(
        "--on-nan",
        choices=(STOP, ROLLBACK),
        default=STOP,
        help="if the loss is no longer finite: stop, or return to the last state with half the "
        "learning rate",
    )
    beginning = group.add_mutually_exclusive_group()
    beginning.add_argument(
        "--resume",
        action="store_true",
        help="continue exactly from PREFIX-resume.state, if it exists",
    )
    beginning.add_argument(
        "--start-over",
        action="store_true",
        help="move the files of an earlier run with this prefix to the folder PREFIX.old-1 (-2, …)",
    )
    add("--log-file", default="", metavar="FILE", help="also append all output to FILE")
    add_seed_argument(group)
    return group


def add_device_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Adds the flags of the devices; returns the group."""
    group = parser.add_argument_group("devices")
    group.add_argument(
        "--devices",
        default="",
        help="overrides CUDA_VISIBLE_DEVICES: gpu:0,gpu:1 or cpu:0,cpu:1",
    )
    group.add_argument(
        "--kvstore",
        choices=KVSTORES,
        default=DEVICE,
        help="where gradients are added up: in main memory, on the devices, or over the workers "
        "of a run that recipes/launch.sh started",
    )
    group.add_argument(
        "--dtype",
        choices=(FLOAT32, FLOAT16),
        default=FLOAT32,
        help="numbers that the network computes with; float16 needs a GPU, and keeps checkpoints, "
        "classifier and weight updates in float32",
    )
    group.add_argument(
        "--loss-scale",
        type=positive_float,
        default=128.0,
        help="factor of the loss with --dtype float16; a power of 2, smaller if gradients exceed "
        "float16",
    )
    group.add_argument(
        "--worker-timeout",
        type=positive_float,
        default=1800.0,
        metavar="SECONDS",
        help="longest time that a worker waits for the others, for example while the first one "
        "verifies",
    )
    return group


def check_schedule(args: argparse.Namespace) -> None:
    """Raises InputError for a schedule whose flags contradict each other."""
    if args.lr_scheduler == STEP:
        return
    if args.lr_steps.strip():
        raise InputError(f"--lr-steps has no effect with --lr-scheduler {args.lr_scheduler}")
    if args.max_steps <= 0 and args.end_epoch == END_EPOCH:
        raise InputError(
            f"--lr-scheduler {args.lr_scheduler} needs the end of the run: --max-steps or "
            "--end-epoch"
        )
