"""Command-line flags that several commands share, each declared once."""

import argparse


def resolve_arguments(parse_args, args):
    """The Namespace for a command's `main(args)`.

    Parameters
    ----------
    parse_args : callable
        The command's own, from a list of strings (None: `sys.argv`) to a Namespace.
    args : None, list of str, or argparse.Namespace
        2018 scripts passed a Namespace.
    """
    return args if isinstance(args, argparse.Namespace) else parse_args(args)


def add_seed_argument(parser):
    """`--seed`: the same number gives the same run."""
    parser.add_argument(
        "--seed", type=int, default=None, help="number that makes the run repeatable"
    )


def lr_steps_text(text):
    """`text` itself where it is empty or a list of ascending batch numbers; for `type=`."""
    steps = [part.strip() for part in text.split(",")] if text.strip() else []
    numbers = [int(part) for part in steps if part.isdigit()]
    if len(numbers) != len(steps) or numbers != sorted(set(numbers)):
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected ascending batch numbers like 100000,140000,160000"
        )
    return text


def positive_int(text):
    """A whole number from 1 on; for `type=`."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 1 on")
    return int(text)


def add_run_arguments(parser, ckpt):
    """Where a training run reads and writes, how long it goes on, and on which devices."""
    parser.add_argument("--data-dir", default="", help="folder of train.rec, train.idx, property")
    parser.add_argument(
        "--prefix", default="../model/model", help="checkpoints: PREFIX-0001.params"
    )
    parser.add_argument(
        "--pretrained",
        default="",
        help="start from a checkpoint: prefix,epoch, or prefix for the newest",
        metavar="MODEL",
    )
    parser.add_argument(
        "--ckpt",
        type=int,
        default=ckpt,
        choices=(0, 1, 2),
        help="checkpoints: 0 none, 1 when verification is good (and at the end), 2 always",
    )
    parser.add_argument(
        "--end-epoch", type=positive_int, default=100000, help="stop after so many epochs"
    )
    parser.add_argument(
        "--max-steps", type=int, default=0, help="stop after so many batches; 0: no limit"
    )
    parser.add_argument(
        "--verbose", type=positive_int, default=2000, help="verify and save every so many batches"
    )
    parser.add_argument(
        "--target",
        default="lfw,cfp_fp,agedb_30",
        help="verification sets in --data-dir, without .bin; missing ones are skipped",
    )
    parser.add_argument(
        "--devices", default="", help="instead of CUDA_VISIBLE_DEVICES: gpu:0,gpu:1 or cpu:0,cpu:1"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from PREFIX-resume.state, exactly where that run was, if there is one",
    )
    parser.add_argument(
        "--log-file", default="", metavar="FILE", help="also append all that is printed to FILE"
    )
    add_seed_argument(parser)


def add_network_arguments(parser):
    """The network and its variants."""
    parser.add_argument("--network", default="r50", help="letter and depth: r50, y1, …")
    add_version_arguments(parser)


def add_version_arguments(parser):
    """The variants of a network."""
    parser.add_argument("--version-se", type=int, default=0, help="squeeze and excitation: 0 or 1")
    parser.add_argument("--version-input", type=int, default=1, help="stem: 0 large, 1 for 112×112")
    parser.add_argument(
        "--version-output", default="E", help="embedding head: E, GNAP, GDC, … (y needs one of two)"
    )
    parser.add_argument("--version-unit", type=int, default=3, help="residual unit: 0 to 3")
    parser.add_argument(
        "--version-act",
        default="prelu",
        help="activation: prelu, relu, sigmoid, softrelu, softsign or tanh",
    )
    parser.add_argument("--use-deformable", type=int, default=0, help="deformable convolution")
    parser.add_argument("--emb-size", type=int, default=512, help="length of the embedding")


def add_optimizer_arguments(parser):
    """Batch size, learning rate and what belongs to it."""
    parser.add_argument("--per-batch-size", type=int, default=128, help="images a batch and device")
    parser.add_argument("--lr", type=float, default=0.1, help="learning rate at the start")
    parser.add_argument(
        "--lr-steps",
        type=lr_steps_text,
        default="",
        help="batches after which the learning rate falls to a tenth",
    )
    parser.add_argument("--wd", type=float, default=0.0005, help="weight decay")
    parser.add_argument("--mom", type=float, default=0.9, help="momentum")


def add_image_arguments(parser):
    """What is done to each training image, and by how many threads."""
    parser.add_argument("--rand-mirror", type=int, default=1, help="1: mirror half of the images")
    parser.add_argument("--cutoff", type=int, default=0, help="grey out a square of so many pixels")
    parser.add_argument("--threads", type=positive_int, default=2, help="that decode images")
