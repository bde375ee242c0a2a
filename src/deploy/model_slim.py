"""2018's command to drop the classifier: PREFIX,EPOCH becomes PREFIXs,0.

    python -m src.deploy.model_slim --model models/model-r34-amf/model,60

`python -m src.slim` writes it under another name.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
from collections.abc import Sequence

from src.checkpoints.names import parse_one_model
from src.common.arguments import make_parser, resolve_arguments
from src.common.errors import run_command
from src.common.log import configure_logging
from src.deploy.slimming import slim


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: 2018's flag and default."""
    parser = make_parser(__doc__)
    parser.add_argument("--model", default="../models/model-r34-amf/model,60", help="prefix,epoch")
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    args = resolve_arguments(parse_args, args)
    configure_logging()
    prefix, epoch = parse_one_model(args.model)
    print("loading", prefix, epoch)
    print("written:", slim(args.model, f"{prefix}s")[0])


if __name__ == "__main__":
    run_command(main)
