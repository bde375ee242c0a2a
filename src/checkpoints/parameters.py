"""The arrays of a checkpoint compared with a graph: which belong to it, which are missing."""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from src.common.errors import InputError, listed
from src.common.mxnet_backend import Parameters, mx
from src.graphs.shapes import ShapeError, infer_shapes

log = logging.getLogger(__name__)

CLASSIFIER_PARAMETERS = ("fc7_weight", "fc7_bias")


class Comparison(NamedTuple):
    """How given arrays fit a graph.

    `needed` counts the arrays that the graph needs, without its inputs. `missing` and `surplus` are
    names that only the graph, or only the checkpoint, has. `wrong` has one 'NAME is SHAPE, expected
    SHAPE' for each array of another shape.
    """

    needed: int
    missing: list[str]
    surplus: list[str]
    wrong: list[str]


def compare(
    symbol: mx.sym.Symbol,
    arg_params: Parameters,
    aux_params: Parameters,
    input_shapes: Mapping[str, tuple[int, ...]],
) -> Comparison:
    """How arrays fit a graph with inputs of the given shapes; `data` is (N, 3, H, W).

    Raises
    ------
    InputError
        The graph does not accept inputs of these shapes.
    """
    try:
        shapes = infer_shapes(symbol, **input_shapes).parameters
    except ShapeError as error:
        raise InputError(
            f"the model does not fit images of shape {input_shapes['data']}: {error}"
        ) from None
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


# Sizes of faces that models are published for, (height, width).
USUAL_SIZES = ((112, 112), (112, 96), (96, 112), (96, 96), (128, 128), (160, 160), (224, 224))


def describe_embedding(
    symbol: mx.sym.Symbol, arg_params: Parameters, input_shapes: Mapping[str, tuple[int, ...]]
) -> str:
    """'; its embeddings have …' if the arrays give embeddings of another length, else ''."""
    needed = infer_shapes(symbol, **input_shapes).parameters
    for name in ("fc1_gamma", "pre_fc1_bias", "fc1_bias"):
        if name in needed and name in arg_params and arg_params[name].shape != needed[name]:
            length = arg_params[name].shape[0]
            return f"; its embeddings have {length} numbers: pass --emb-size {length}"
    return ""


def describe_size(
    symbol: mx.sym.Symbol,
    arg_params: Parameters,
    aux_params: Parameters,
    input_shapes: Mapping[str, tuple[int, ...]],
) -> str:
    """'; it was made for images of …' if the arrays fit images of another usual size, else ''."""
    batch, channels, *size = input_shapes["data"]
    for height, width in USUAL_SIZES:
        shapes = {**input_shapes, "data": (batch, channels, height, width)}
        try:
            fits = not compare(symbol, arg_params, aux_params, shapes).wrong
        except InputError:  # the network has a least size
            fits = False
        if fits:
            return (
                f"; it was made for images of {height}×{width}, but these are {size[0]}×{size[1]} "
                "(the second and third number of property, or --image-size)"
            )
    return ""


def sort_arrays(
    arrays: Parameters, symbol: mx.sym.Symbol, path: str
) -> tuple[Parameters, Parameters]:
    """(arg_params, aux_params) of a file's arrays, under the names that its graph uses.

    The graph decides which array is an argument and which an auxiliary state; the file's own `arg:`
    and `aux:` only count for arrays that the graph does not have. A program that wraps the network
    may write conv0_weight as `module.conv0_weight`.

    Parameters
    ----------
    path
        Of the file, for messages.

    Raises
    ------
    InputError
        No array has a name that the graph uses, or two have the same one.
    """
    kinds = dict.fromkeys(symbol.list_arguments(), "arg")
    kinds.update(dict.fromkeys(symbol.list_auxiliary_states(), "aux"))
    names = {key: _name_in(kinds, key) for key in arrays}
    if not any(names.values()):
        raise InputError(_nothing_fits(arrays, kinds, path))
    wrappers = _wrappers(names)
    sorted_arrays: dict[str, Parameters] = {"arg": {}, "aux": {}}
    origin: dict[str, str] = {}
    for key, array in arrays.items():
        own = names[key]
        kind, name = ("", own) if own is not None else _kind_and_name(key, wrappers)
        if name in origin:
            raise InputError(f"{path} contains {name} twice, as {origin[name]} and as {key}")
        origin[name] = key
        sorted_arrays[kinds.get(name, kind)][name] = array
    if wrappers:
        log.info("%s: removed %s from the array names", path, listed(wrappers))
    needed = {*kinds, *CLASSIFIER_PARAMETERS}
    surplus = [name for name in origin if name not in needed]
    if surplus:
        log.warning("%s contains arrays that its graph does not use: %s", path, listed(surplus))
    return sorted_arrays["arg"], sorted_arrays["aux"]


def _name_in(kinds: Mapping[str, str], key: str) -> str | None:
    """The graph's name that `key` equals, or ends with after '.', '/' or ':'; or None."""
    ends = [0, *(match.end() for match in re.finditer(r"[.:/]", key))]
    return next((key[end:] for end in ends if key[end:] in kinds), None)


def _wrappers(names: Mapping[str, str | None]) -> list[str]:
    """What precedes the graph's names in the file, without `arg:` and `aux:`."""
    before = (key[: -len(name)] for key, name in names.items() if name)
    return list(dict.fromkeys(filter(None, (re.sub(r"(arg|aux):", "", text) for text in before))))


def _kind_and_name(key: str, wrappers: Iterable[str]) -> tuple[str, str]:
    """Kind and name of an array that the graph does not have."""
    marked = re.search(r"(arg|aux):", key)
    name = re.sub(r"(arg|aux):", "", key)
    for wrapper in wrappers:
        name = name.removeprefix(wrapper)
    return (marked[1] if marked else "arg"), name


def _nothing_fits(arrays: Iterable[str], kinds: Iterable[str], path: str) -> str:
    return (
        f"{path}: none of its arrays ({listed(arrays, 4) or 'without names'}) is in its graph "
        f"({listed(kinds, 4)}). If gluon's save_parameters wrote it, use HybridBlock.export; if it "
        "belongs to another network, use the symbol file of that network"
    )


def adopt_parameters(symbol: mx.sym.Symbol, arg_params: Parameters | None) -> Parameters | None:
    """`arg_params` of a checkpoint under the names that `symbol` uses.

    The published MobileFaceNet calls the weight of its layer pre_fc1 `fc1_weight`; without this,
    that layer would be initialised again.

    Parameters
    ----------
    symbol
        The graph that will be trained.
    arg_params
        As loaded; not changed.
    """
    wanted = symbol.list_arguments()
    if not arg_params or "fc1_weight" not in arg_params or "pre_fc1_weight" in arg_params:
        return arg_params
    if "fc1_weight" in wanted or "pre_fc1_weight" not in wanted:
        return arg_params
    log.info("the checkpoint's fc1_weight is used as pre_fc1_weight")
    return {
        "pre_fc1_weight" if name == "fc1_weight" else name: array
        for name, array in arg_params.items()
    }
