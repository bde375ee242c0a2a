"""Parameters that a run starts from: whether they fit its network, and the rest of them."""

import logging
from collections.abc import Iterator, Mapping, Set

from src.checkpoints.parameters import (
    CLASSIFIER_PARAMETERS,
    compare,
    describe_embedding,
    describe_size,
)
from src.common.errors import InputError, listed
from src.common.mxnet_backend import Parameters, mx
from src.graphs.bound import BoundGraph
from src.graphs.shapes import infer_shapes

log = logging.getLogger()  # 2018: its lines begin with "INFO:root:"


def check_given(
    symbol: mx.sym.Symbol,
    input_shapes: Mapping[str, tuple[int, ...]],
    arg_params: Parameters,
    aux_params: Parameters,
) -> None:
    """Raises InputError for parameters that do not fit the symbol; logs what is left over."""
    inputs = dict(input_shapes)
    found = compare(symbol, arg_params, aux_params, inputs)
    if 2 * len(found.missing) > found.needed:
        raise InputError(
            f"{len(found.missing)} of the network's {found.needed} arrays are not in the "
            "checkpoint: use the --network and --version-* that it was trained with. "
            f"Missing: {listed(found.missing)}"
        )
    if found.wrong:
        raise InputError(
            f"the checkpoint does not fit --network, --emb-size and --version-*: "
            f"{listed(found.wrong)}"
            + describe_embedding(symbol, arg_params, inputs)
            + describe_size(symbol, arg_params, aux_params, inputs)
        )
    if found.missing:
        log.warning(
            "%d of the network's %d arrays are not in the checkpoint and are initialised: %s",
            len(found.missing),
            found.needed,
            listed(found.missing),
        )
    if found.surplus:
        expected = set(found.surplus) <= set(CLASSIFIER_PARAMETERS)
        log.log(
            logging.INFO if expected else logging.WARNING,
            "the network does not use these arrays of the checkpoint: %s",
            listed(found.surplus),
        )


def initial_parts(
    graph: BoundGraph,
    inputs: Set[str],
    input_shapes: dict[str, tuple[int, ...]],
    initializer: mx.init.Initializer,
    given: Parameters,
) -> Parameters:
    """All parameters, given or initialised, of a bound graph that has merged parameters.

    Each part of a merged parameter is initialised under its own name, in the order of all names, so
    the random numbers are those of the original graph.

    Parameters
    ----------
    inputs
        Names of what is not a parameter.
    """
    shapes = infer_shapes(graph.symbol, **input_shapes).arguments
    arrays = {name: mx.nd.zeros(s) for name, s in shapes.items() if name not in inputs}
    attributes = graph.symbol.attr_dict()

    def named_arrays() -> Iterator[tuple[str, str, mx.nd.NDArray]]:
        for name, array in arrays.items():
            originals = graph.parts.get(name, [name])
            if name.endswith("_bias") and not any(part in given for part in originals):
                originals = originals[:1]  # all start at the same value: one call is enough
            rows = array.shape[0] // len(originals)
            for place, original in enumerate(originals):
                part = array[place * rows : (place + 1) * rows] if name in graph.parts else array
                yield original, name, part

    for original, name, array in sorted(named_arrays(), key=lambda entry: entry[0]):
        if original in given:
            array[:] = given[original]
        else:
            initializer(mx.init.InitDesc(original, attributes.get(name)), array)
    return arrays
