"""A drawing of a network's table rows, made by graphviz."""

import os
import subprocess
from collections.abc import Sequence

import graphviz

from src.common.errors import InputError
from src.common.output_files import whole_file
from src.graphs.summary import Layer

FORMATS = ("png", "svg", "pdf")
SOURCES = ("dot", "gv")  # graphviz source text
_COLOURS = (
    ("Convolution", "#c6dbef"),
    ("FullyConnected", "#c7e9c0"),
    ("BatchNorm", "#fdd0a2"),
)


def check_format(path: str) -> None:
    """InputError unless the file name ends in a supported format."""
    if _extension(path) not in (*FORMATS, *SOURCES):
        raise InputError(
            f"--picture {path}: expected a name that ends in "
            f"{', '.join(f'.{name}' for name in (*FORMATS, *SOURCES))}"
        )


def _extension(path: str) -> str:
    return os.path.splitext(path)[1][1:]


def draw(title: str, rows: Sequence[Layer]) -> graphviz.Digraph:
    """A graph with one box per row, from the image at the top to the embedding at the bottom."""
    graph = graphviz.Digraph(
        graph_attr={"label": title, "labelloc": "t", "fontname": "sans-serif"},
        node_attr={"shape": "box", "style": "filled,rounded", "fontname": "sans-serif"},
    )
    # Boxes are numbered, because graphviz reads the part of a name after a colon as a port.
    box_of = {row.name: f"box{number}" for number, row in enumerate(rows)}
    for row in rows:
        size = "×".join(map(str, row.shape))
        operators = ", ".join(row.operators)
        graph.node(
            box_of[row.name],
            label=f"{row.name}\n{operators}\n{size}",
            fillcolor=next((c for name, c in _COLOURS if name in row.operators), "#eeeeee"),
        )
        for source in row.inputs:
            graph.edge(box_of[source], box_of[row.name])
    return graph


def save(graph: graphviz.Digraph, path: str) -> bool:
    """Writes the drawing in the format of the file name; False if the program `dot` is missing.

    Nothing is written then.

    Raises
    ------
    InputError
        `dot` fails, for example because it was built without that format.
    """
    extension = _extension(path)
    if extension in SOURCES:
        content = graph.source.encode()
    else:
        try:
            content = graph.pipe(extension)
        except graphviz.ExecutableNotFound:
            return False
        except subprocess.CalledProcessError as error:
            raise InputError(
                f"--picture {path}: the program dot failed with exit status {error.returncode}; "
                "to get the source text instead, use --picture NAME.dot"
            ) from None
    with whole_file(path) as file:
        file.write(content)
    return True
