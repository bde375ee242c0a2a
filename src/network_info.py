"""A network as a table: layers, output shapes, parameters and multiply-adds; and as a picture.

    python -m src.network_info r50
    python -m src.network_info y1 --version-output GNAP --emb-size 256 --picture y1.svg
    python -m src.network_info ../model/softmax,50
    python -m src.network_info --all
    python -m src.network_info --losses

One name prints its layers; several names print one line for each network. --all and --losses print
the tables of the documentation, in Markdown. Long networks are shown in parts, see --depth.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../.."))

import argparse
import logging
import os
import re
from collections.abc import Iterable, Sequence

from src.checkpoints.binding import cut_at_embedding
from src.checkpoints.files import load_checkpoint
from src.checkpoints.names import parse_one_model, symbol_path
from src.common.arguments import make_parser, natural_int, parse_image_size, resolve_arguments
from src.common.errors import InputError, run_command
from src.common.log import configure_logging
from src.common.mxnet_backend import mx
from src.graphs.picture import check_format, draw, save
from src.graphs.summary import Layer, merge_layers, read_layers, total
from src.losses.registry import table_rows
from src.symbols.outside import is_outside
from src.symbols.spec import NetworkSpec, Row
from src.symbols.table import build_embedding, find_network, letters, specs
from src.training.arguments import add_version_arguments

log = logging.getLogger(__name__)

_SHOWN_OPERATORS = 3
_UNITS = (
    "Without the classifier (fc7). Multiply-adds of convolutions and fully connected layers for "
    "one photo of {}×{}: most papers call these FLOPs, others count twice as many."
)


def is_network(name: str) -> bool:
    """Whether a name is that of a network (r50, FILE.py:NAME), and not a checkpoint's prefix."""
    known = is_outside(name) or (re.fullmatch(r"[a-z]\d*", name) and name[0] in letters())
    return bool(known) and not os.path.exists(symbol_path(name))


def embedding_symbol(name: str, args: argparse.Namespace) -> mx.sym.Symbol:
    """The symbol of the embedding of a network or a checkpoint.

    Raises
    ------
    InputError
        There is neither a network nor a checkpoint of that name.
    """
    if is_network(name):
        return build_network(name, args, args.version_output)
    if "," not in name and not os.path.exists(symbol_path(name)):
        raise InputError(
            f"{name!r} is neither a network (a letter of {', '.join(letters())} and a number, as "
            "in r50 or y1) nor a checkpoint (prefix,epoch)"
        )
    symbol, _, _ = load_checkpoint(*parse_one_model(name, "checkpoint"))
    return cut_at_embedding(symbol)


def build_network(name: str, args: argparse.Namespace, version_output: str | None) -> mx.sym.Symbol:
    """The symbol of a network's embedding, by default as its published models have it."""
    spec, _ = find_network(name)
    return build_embedding(
        name,
        spec.embedding_size if args.emb_size is None else args.emb_size,
        version_se=args.version_se,
        version_input=args.version_input,
        version_output=version_output or spec.version_output,
        version_unit=args.version_unit,
        version_act=args.version_act,
    )


def print_layers(layers: list[Layer], rows: list[Layer], size: tuple[int, int]) -> None:
    """Prints the table of one network, and its totals."""
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
    print(f"auxiliary states  {auxiliary:>18,}  means and variances, counted separately")
    print(f"multiply-adds     {multiply_adds:>18,}  for one photo of {size[0]}×{size[1]}, of")
    print(f"{'':38}convolutions and fully connected layers: most papers call these FLOPs")
    print(f"operations        {2 * multiply_adds:>18,}  the same, a multiply-add counted as two")


def print_columns(table: Sequence[Sequence[str]]) -> None:
    """Prints rows of text in columns, the last two aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [
            cell.rjust(width) if column >= len(row) - 2 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def short_number(number: float) -> str:
    """'221 M' or '6.31 G'."""
    return f"{number / 1e9:.2f} G" if number >= 1e9 else f"{number / 1e6:.0f} M"


def size_columns(symbol: mx.sym.Symbol, size: tuple[int, int]) -> str:
    """The Markdown columns embedding, parameters and multiply-adds of a network."""
    layers = read_layers(symbol, size)
    parameters, _, multiply_adds = total(layers)
    return f"{layers[-1].shape[0]} | {parameters / 1e6:.2f} M | {short_number(multiply_adds)}"


def print_networks(symbols: Iterable[tuple[str, mx.sym.Symbol]], size: tuple[int, int]) -> None:
    """Prints one line for each network, in Markdown; `size` is (height, width)."""
    print("| network | embedding | parameters | multiply-adds |")
    print("|---|---:|---:|---:|")
    for name, symbol in symbols:
        print(f"| {name} | {size_columns(symbol, size)} |", flush=True)
    print(f"\n{_UNITS.format(*size)}")


def print_documentation(args: argparse.Namespace, size: tuple[int, int]) -> None:
    """Prints the table of all networks, with their papers and published models, in Markdown."""
    print(
        "| `--network` | paper | embedding | parameters | multiply-adds "
        "| published InsightFace model | its published accuracy, % |"
    )
    print("|---|---|---:|---:|---:|---|---|")
    for spec in specs():
        for row in spec.rows:
            name = f"{row.name} {row.version_output}".strip()
            sizes = size_columns(build_network(row.name, args, row.version_output), size)
            cells = (name, paper(spec, row), sizes, row.published, row.accuracy)
            print("|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|", flush=True)
    print(f"\n{_UNITS.format(*size)}")


def paper(spec: NetworkSpec, row: Row) -> str:
    """The second column: the paper in a family's first row, otherwise the row's note."""
    if row is not spec.rows[0]:
        return row.note
    return f"{spec.family}, [{spec.paper}](https://arxiv.org/abs/{spec.paper})"


def print_losses() -> None:
    """Prints the table of all losses, in Markdown."""
    print("| `--loss-type` | loss | logit of an image's own class |")
    print("|---|---|---|")
    for number, title, formula in table_rows():
        escaped = formula.replace("|", r"\|")
        print(f"| {number} | {title} | {escaped} |")


def draw_network(name: str, rows: list[Layer], path: str) -> None:
    """Draws the rows of a network; logs a line if the program `dot` is missing."""
    if save(draw(name, rows), path):
        print(f"picture: {path}")
    else:
        log.warning(
            "no picture: the program dot is missing (apt-get install graphviz, brew install "
            "graphviz); --picture NAME.dot writes its source text"
        )


def summarize(args: argparse.Namespace) -> None:
    """Prints what the flags ask for."""
    size = parse_image_size(args.image_size)
    if args.losses:
        return print_losses()
    if args.all:
        return print_documentation(args, size)
    if len(args.names) > 1:
        # All are built before the first row is printed, because one of them may not exist.
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


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__, prog="python -m src.network_info")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="r50, y1, …; or a checkpoint: prefix,epoch"
    )
    parser.add_argument(
        "--all", action="store_true", help="the documentation's table of all networks"
    )
    parser.add_argument(
        "--losses", action="store_true", help="the documentation's table of all losses"
    )
    group = parser.add_argument_group("network")
    add_version_arguments(group, version_output=None, emb_size=None)
    group = parser.add_argument_group("table")
    group.add_argument("--image-size", default="112,112", help="height,width of a photo")
    group.add_argument(
        "--depth",
        type=natural_int,
        help="parts of a layer's name that make a row; 0: one row per layer (default: the deepest "
        "with at most 100 rows)",
    )
    group.add_argument(
        "--picture", default="", metavar="FILE", help="draw the rows: .png, .svg, .pdf, or .dot"
    )
    args = parser.parse_args(argv)
    if (bool(args.names) + args.all + args.losses) != 1:
        parser.error("name a network, as in r50 or y1, or use --all or --losses")
    if args.picture and len(args.names) != 1:
        parser.error("--picture draws one network")
    return args


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    configure_logging()
    summarize(resolve_arguments(parse_args, args))


if __name__ == "__main__":
    run_command(main)
