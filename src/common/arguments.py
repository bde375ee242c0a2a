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
