"""All networks: from `--network` to a spec, and to the symbol of an embedding."""

import functools
import re

from src.common.discovery import modules_of
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.graphs.shapes import INPUT_SHAPE, ShapeError, infer_shapes
from src.symbols.outside import installed_specs, is_outside, load_network
from src.symbols.spec import NetworkSpec


@functools.cache
def specs() -> list[NetworkSpec]:
    """The `NetworkSpec`s of this package's modules and of installed packages, by letter."""
    found = {
        id(member): (module.__name__, member)  # a module may import another one's spec
        for module in modules_of("src.symbols")
        for member in vars(module).values()
        if isinstance(member, NetworkSpec)
    }
    every = [*found.values(), *installed_specs()]
    by_name: dict[tuple[str, int | None], str] = {}
    for origin, spec in every:
        for number in (None,) if spec.numbers is None else spec.numbers:
            other = by_name.setdefault((spec.letter, number), origin)
            if other != origin:
                name = spec.letter if number is None else f"{spec.letter}{number}"
                raise InputError(f"{other} and {origin} both define the network {name}")
    return sorted((spec for _, spec in every), key=lambda spec: (spec.letter, spec.numbers is None))


def letters() -> list[str]:
    """The letters that a network's name can start with."""
    return list(dict.fromkeys(spec.letter for spec in specs()))


def parse_network(network: str) -> tuple[str, int]:
    """('r', 50) for 'r50': the letter, and the number of layers or version.

    Raises
    ------
    InputError
        For an unknown letter, or a missing number.
    """
    match = re.fullmatch(r"([a-z])([0-9]+)", network)
    if not match or match[1] not in letters():
        raise InputError(
            f"--network {network}: expected a letter of {', '.join(letters())} and a number, "
            "as in r50 or y1; or FILE.py:NAME for a network of your own"
        )
    return match[1], int(match[2])


def find_network(network: str) -> tuple[NetworkSpec, int]:
    """(spec, number) of a network's name; a spec that lists the number comes before one of any.

    FILE.py:NAME is a network that is defined in a file, see `load_network`.

    Raises
    ------
    InputError
        There is no such network.
    """
    if is_outside(network):
        return load_network(network)
    letter, number = parse_network(network)
    of_letter = [spec for spec in specs() if spec.letter == letter]
    for spec in of_letter:  # sorted: those with numbers first
        if spec.numbers is None or number in spec.numbers:
            return spec, number
    names = ", ".join(f"{letter}{n}" for spec in of_letter for n in spec.numbers or ())
    raise InputError(f"--network {network}: expected one of {names}")


@functools.lru_cache(maxsize=1)
def build_embedding(
    network: str = "y1",
    embedding_size: int = 128,
    version_se: int = 0,
    version_input: int = 1,
    version_output: str = "E",
    version_unit: int = 3,
    version_act: str = "prelu",
    bn_mom: float = 0.9,
) -> mx.sym.Symbol:
    """The network up to its embedding: a symbol with the output `fc1_output`, (N, embedding_size).

    Its only inputs are `data`, (N, 3, H, W), RGB 0..255, and its parameters. The last one built is
    cached, so that a command that checks its flags first does not build the network twice.

    Parameters
    ----------
    network
        A letter and a number: r50, m1, d121; or FILE.py:NAME.
    version_se, version_input, version_output, version_unit, version_act
        The flags `--version-*`; a network ignores those that it does not have.
    bn_mom
        Momentum of the batch normalisations. 2018: --bn-mom only reached the y networks; the others
        used its default. The cells of the n networks keep their own, fixed momentum.

    Raises
    ------
    InputError
        The combination cannot be built; the message lists what can.
    """
    spec, number = find_network(network)
    if embedding_size < 1:
        raise InputError(f"--emb-size {embedding_size}: expected an integer of at least 1")
    embedding = spec.build(
        num_classes=embedding_size,
        num_layers=number,
        version_se=version_se,
        version_input=version_input,
        version_output=version_output,
        version_unit=version_unit,
        version_act=version_act,
        bn_mom=bn_mom,
    )
    size = inferred_size(embedding, f"--network {network} --version-output {version_output}")
    if size != embedding_size:
        raise InputError(
            f"--emb-size {embedding_size}: {network} with --version-output {version_output} gives "
            f"embeddings of {size} numbers; use --emb-size {size} or another head"
        )
    return embedding


def inferred_size(embedding: mx.sym.Symbol, flags: str) -> int:
    """Length of the embedding of a 112×112 photo; InputError if the layers do not fit."""
    try:
        (shape,) = infer_shapes(embedding, data=INPUT_SHAPE).outputs
    except ShapeError as error:
        reason = str(error).split("Check failed: ")[-1]
        raise InputError(
            f"{flags}: the head does not fit the network's last layer ({reason}); use another "
            "--version-output, or --version-input 1"
        ) from error
    return shape[1]


def initializer(network: str) -> mx.init.Initializer:
    """The initialiser of a network's parameters; raises InputError like `parse_network`."""
    return find_network(network)[0].initializer()
