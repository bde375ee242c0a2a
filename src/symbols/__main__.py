"""A network as a table: layers, output shapes, parameters and multiply-adds; and as a picture.

    python -m src.symbols r50
    python -m src.symbols y1 --version-output GNAP --emb-size 256 --picture y1.svg
    python -m src.symbols ../model/softmax,50
    python -m src.symbols --all

One name prints its layers; several, or --all, one line for each network. Long networks are shown
in parts, as deep as --depth says.
"""

import argparse
import logging
import os
import re

from src.common.arguments import add_version_arguments, resolve_arguments
from src.common.checkpoint_names import parse_one_model, symbol_path
from src.common.checkpoints import cut_at_embedding, load
from src.common.errors import InputError, run_command
from src.common.face_preprocess import parse_image_size
from src.common.log import configure_logging
from src.symbols.picture import check_format, draw, save
from src.symbols.summary import merge_layers, read_layers, total
from src.training.networks import BUILDERS, build_embedding

log = logging.getLogger(__name__)

# What --all lists: (network, --version-output or '' for its own).
NETWORKS = (
    ("y1", "GDC"),
    ("y1", "GNAP"),
    ("m1", ""),
    ("m2", ""),
    *((f"r{depth}", "") for depth in (18, 34, 50, 100, 101, 152, 200, 269)),
    *((f"d{depth}", "") for depth in (121, 161, 169, 201)),
    ("i2", ""),
    ("x1", ""),
    ("p92", ""),
    ("p107", ""),
    ("n1", ""),
    *((f"s{depth}", "") for depth in (20, 36, 64)),
)
_SHOWN_OPERATORS = 3


def depth_number(text):
    """A whole number from 0 on; for `type=`."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 0 on")
    return int(text)


def is_network(name):
    """Whether a name is a network's letter and a number, and no checkpoint bears it."""
    known = re.fullmatch(r"[a-z]\d*", name) and name[0] in BUILDERS
    return bool(known) and not os.path.exists(symbol_path(name))


def embedding_symbol(name, args):
    """The symbol of a network's, or of a checkpoint's, embedding.

    Raises
    ------
    InputError
        There is no such network and no such checkpoint.
    """
    if is_network(name):
        return build_network(name, args, args.version_output)
    if "," not in name and not os.path.exists(symbol_path(name)):
        raise InputError(
            f"{name!r} is neither a network (a letter of {', '.join(BUILDERS)} and a number, as in "
            "r50 or y1) nor a checkpoint (prefix,epoch)"
        )
    symbol, _, _ = load(*parse_one_model(name, "checkpoint"))
    return cut_at_embedding(symbol)


def build_network(name, args, version_output):
    """The symbol of a network's embedding; a y network has its own defaults."""
    mobile = name.startswith("y")
    return build_embedding(
        name,
        (128 if mobile else 512) if args.emb_size is None else args.emb_size,
        version_se=args.version_se,
        version_input=args.version_input,
        version_output=version_output or ("GDC" if mobile else "E"),
        version_unit=args.version_unit,
        version_act=args.version_act,
    )


def print_layers(layers, rows, size):
    """Prints the table of one network, and what its numbers are."""
    table = [("layer", "operators", "output", "parameters", "multiply-adds")]
    for row in rows:
        kinds = [
            f"{name} ×{count}" if count > 1 else name
            for name, count in row.operators.most_common(_SHOWN_OPERATORS)
        ]
        more = ", …" if len(row.operators) > _SHOWN_OPERATORS else ""
        shape = "×".join(map(str, row.shape))
        numbers = f"{row.parameters:,}", f"{row.multiply_adds:,}"
        table.append((row.name, ", ".join(kinds) + more, shape, *numbers))
    parameters, auxiliary, multiply_adds = total(layers)
    table.append(("total", f"{len(layers)} layers", "", f"{parameters:,}", f"{multiply_adds:,}"))
    print_columns(table)
    print()
    print(f"parameters        {parameters:>18,}  learnt, without the classifier (fc7)")
    print(f"auxiliary states  {auxiliary:>18,}  means and variances, counted apart")
    print(f"multiply-adds     {multiply_adds:>18,}  for one photo of {size[0]}×{size[1]}, of")
    print(f"{'':38}convolutions and fully connected layers: what papers mostly call FLOPs")
    print(f"operations        {2 * multiply_adds:>18,}  the same, a multiply-add counted as two")


def print_columns(table):
    """Prints rows of text in columns, the last two to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [
            cell.rjust(width) if column >= len(row) - 2 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def short_number(number):
    """'221 M' or '6.31 G'."""
    return f"{number / 1e9:.2f} G" if number >= 1e9 else f"{number / 1e6:.0f} M"


def print_networks(symbols, size):
    """Prints one line for each network, in Markdown.

    Parameters
    ----------
    symbols : iterable of (str, Symbol)
    size : (int, int)
        Height and width.
    """
    print("| network | embedding | parameters | multiply-adds |")
    print("|---|---:|---:|---:|")
    for name, symbol in symbols:
        layers = read_layers(symbol, size)
        parameters, _, multiply_adds = total(layers)
        print(
            f"| {name} | {layers[-1].shape[0]} | {parameters / 1e6:.2f} M | "
            f"{short_number(multiply_adds)} |",
            flush=True,
        )
    print(
        f"\nWithout the classifier (fc7). Multiply-adds of convolutions and fully connected layers "
        f"for one photo of {size[0]}×{size[1]}: papers mostly call these FLOPs; as operations they "
        "are twice as many."
    )


def draw_network(name, rows, path):
    """Draws the rows of a network, where the program `dot` is there; one line says which."""
    if save(draw(name, rows), path):
        print(f"picture: {path}")
    else:
        log.warning(
            "no picture: the program dot is not here (apt-get install graphviz, brew install "
            "graphviz); --picture NAME.dot writes what it draws from"
        )


def summarize(args):
    """Prints what the flags ask for."""
    size = parse_image_size(args.image_size)
    if args.all:
        listed = (
            (f"{name} {output}".strip(), build_network(name, args, output))
            for name, output in NETWORKS
        )
        return print_networks(listed, size)
    if len(args.names) > 1:
        # All are built before the first row is printed: one may not exist.
        return print_networks([(n, embedding_symbol(n, args)) for n in args.names], size)
    if args.picture:
        check_format(args.picture)
    (name,) = args.names
    layers = read_layers(embedding_symbol(name, args), size)
    rows = merge_layers(layers, args.depth)
    print_layers(layers, rows, size)
    if args.picture:
        draw_network(name, rows, args.picture)
    return None


def parse_args(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m src.symbols",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="r50, y1, …; or a checkpoint: prefix,epoch"
    )
    parser.add_argument(
        "--all", action="store_true", help="one line for each network of 2018, as for a README"
    )
    add_version_arguments(parser)
    # None: what is usual for the network.
    parser.set_defaults(version_output=None, emb_size=None)
    parser.add_argument("--image-size", default="112,112", help="height,width of a photo")
    parser.add_argument(
        "--depth",
        type=depth_number,
        help="parts of a layer's name that make a row of the table; 0: every layer is one",
    )
    parser.add_argument(
        "--picture", default="", metavar="FILE", help="draw the rows: .png, .svg, .pdf, or .dot"
    )
    args = parser.parse_args(argv)
    if bool(args.names) == args.all:
        parser.error("name a network, as in r50 or y1, or say --all")
    if args.picture and len(args.names) != 1:
        parser.error("--picture draws one network")
    return args


def main(args=None):
    """The command; `args` is a list of strings, a Namespace, or None for `sys.argv`."""
    configure_logging()
    summarize(resolve_arguments(parse_args, args))


if __name__ == "__main__":
    run_command(main)
