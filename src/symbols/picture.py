"""A drawing of a network's rows, by graphviz."""

import os
import subprocess

import graphviz

from src.common.errors import InputError
from src.common.output_files import whole_file

FORMATS = ("png", "svg", "pdf")
SOURCES = ("dot", "gv")  # the text that `dot` draws from
_COLOURS = (
    ("Convolution", "#c6dbef"),
    ("FullyConnected", "#c7e9c0"),
    ("BatchNorm", "#fdd0a2"),
)


def check_format(path):
    """Raises InputError unless the file's ending is one that can be written."""
    ending = os.path.splitext(path)[1][1:]
    if ending not in (*FORMATS, *SOURCES):
        raise InputError(
            f"--picture {path}: expected a name that ends in "
            f"{', '.join(f'.{name}' for name in (*FORMATS, *SOURCES))}"
        )


def draw(title, rows):
    """A graphviz.Digraph with one box a row, from the photo down to the embedding.

    Parameters
    ----------
    title : str
    rows : list of Layer
    """
    graph = graphviz.Digraph(
        graph_attr={"label": title, "labelloc": "t", "fontname": "sans-serif"},
        node_attr={"shape": "box", "style": "filled,rounded", "fontname": "sans-serif"},
    )
    # Boxes have numbers: graphviz takes what follows a colon in a name for a place on the box.
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


def save(graph, path):
    """Writes the drawing; returns False, having written nothing, where there is no `dot`.

    Parameters
    ----------
    graph : graphviz.Digraph
    path : str
        Its ending is the format.

    Raises
    ------
    InputError
        `dot` cannot draw it, as where it was built without that format.
    """
    ending = os.path.splitext(path)[1][1:]
    if ending in SOURCES:
        content = graph.source.encode()
    else:
        try:
            content = graph.pipe(ending)
        except graphviz.ExecutableNotFound:
            return False
        except subprocess.CalledProcessError as error:
            raise InputError(
                f"--picture {path}: the program dot failed with exit status {error.returncode}; "
                "--picture NAME.dot writes what it draws from"
            ) from None
    with whole_file(path) as file:
        file.write(content)
    return True
