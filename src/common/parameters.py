"""A checkpoint's arrays against a graph: whose they are, and what is missing, surplus or wrong."""

import contextlib
import io
import logging
import re
from typing import NamedTuple

from src.common.errors import InputError, listed
from src.common.mxnet_backend import mx
from src.common.saved_graphs import explain

log = logging.getLogger(__name__)

CLASSIFIER_PARAMETERS = ("fc7_weight", "fc7_bias")


class Comparison(NamedTuple):
    """How given arrays fit a graph.

    Attributes
    ----------
    needed : int
        Arrays that the graph needs, beside its inputs.
    missing, surplus : list of str
        Names that only the graph has, and that only the checkpoint has.
    wrong : list of str
        'NAME is SHAPE, expected SHAPE' for each array of another shape.
    """

    needed: int
    missing: list
    surplus: list
    wrong: list


def compare(symbol, arg_params, aux_params, input_shapes):
    """A `Comparison` of the arrays with what `symbol` needs.

    Parameters
    ----------
    symbol : Symbol
    arg_params, aux_params : dict of str to NDArray
    input_shapes : dict of str to tuple
        Shapes of the symbol's inputs; `data` is (N, 3, H, W).

    Raises
    ------
    InputError
        The symbol cannot take inputs of these shapes.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # MXNet prints all shapes on an error
            arg_shapes, _, aux_shapes = symbol.infer_shape(**input_shapes)
    except mx.MXNetError as error:
        raise InputError(
            f"the model does not fit images of shape {input_shapes['data']}: {explain(error)}"
        ) from None
    shapes = dict(zip(symbol.list_arguments(), arg_shapes, strict=True))
    shapes.update(zip(symbol.list_auxiliary_states(), aux_shapes, strict=True))
    needed = {name: shape for name, shape in shapes.items() if name not in input_shapes}
    given = {name: array.shape for name, array in {**arg_params, **aux_params}.items()}
    return Comparison(
        needed=len(needed),
        missing=[name for name in needed if name not in given],
        surplus=[name for name in given if name not in needed],
        wrong=[
            f"{name} is {given[name]}, expected {shape}"
            for name, shape in needed.items()
            if given.get(name, shape) != shape
        ],
    )


def sort_arrays(arrays, symbol, path):
    """(arg_params, aux_params) of a file's arrays, under the names of its graph.

    Which array is an argument and which an auxiliary state says the graph; the file's own `arg:`
    and `aux:` count only for arrays that the graph does not have. `module.conv0_weight` of a
    program that wraps the network is conv0_weight.

    Parameters
    ----------
    arrays : dict of str to NDArray
    symbol : Symbol
    path : str
        Of the file, for messages.

    Raises
    ------
    InputError
        No array bears a name of the graph, or two bear the same one.
    """
    kinds = dict.fromkeys(symbol.list_arguments(), "arg")
    kinds.update(dict.fromkeys(symbol.list_auxiliary_states(), "aux"))
    names = {key: _name_in(kinds, key) for key in arrays}
    if not any(names.values()):
        raise InputError(_nothing_fits(arrays, kinds, path))
    wrappers = _wrappers(names)
    sorted_arrays = {"arg": {}, "aux": {}}
    origin = {}
    for key, array in arrays.items():
        kind, name = _kind_and_name(key, wrappers) if names[key] is None else ("", names[key])
        if name in origin:
            raise InputError(f"{path} holds {name} twice, as {origin[name]} and as {key}")
        origin[name] = key
        sorted_arrays[kinds.get(name, kind)][name] = array
    if wrappers:
        log.info("%s: names are read without %s", path, listed(wrappers))
    needed = {*kinds, *CLASSIFIER_PARAMETERS}
    surplus = [name for name in origin if name not in needed]
    if surplus:
        log.warning("%s holds arrays that its graph does not use: %s", path, listed(surplus))
    return sorted_arrays["arg"], sorted_arrays["aux"]


def _name_in(kinds, key):
    """The graph's name that `key` is or ends in, behind '.', '/' or ':'; None for none."""
    ends = [0, *(match.end() for match in re.finditer(r"[.:/]", key))]
    return next((key[end:] for end in ends if key[end:] in kinds), None)


def _wrappers(names):
    """What stands before the graph's names in the file, beside `arg:` and `aux:`."""
    before = (key[: -len(name)] for key, name in names.items() if name)
    return list(dict.fromkeys(filter(None, (re.sub(r"(arg|aux):", "", text) for text in before))))


def _kind_and_name(key, wrappers):
    """Kind and name of an array that the graph does not have."""
    marked = re.search(r"(arg|aux):", key)
    name = re.sub(r"(arg|aux):", "", key)
    for wrapper in wrappers:
        name = name.removeprefix(wrapper)
    return (marked[1] if marked else "arg"), name


def _nothing_fits(arrays, kinds, path):
    return (
        f"{path}: none of its arrays ({listed(arrays, 4) or 'without names'}) bears a name of its "
        f"graph ({listed(kinds, 4)}). A file of gluon's save_parameters has to be exported first, "
        "by HybridBlock.export, and another network's numbers need its own graph"
    )
