"""Networks that are defined outside of this project: in a file, or in an installed package."""

import functools
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterator
from types import ModuleType

from src.common.errors import InputError
from src.symbols.spec import NetworkSpec

ENTRY_POINTS = "insightface_mxnet.networks"
"""Group of the entry points; each is a `NetworkSpec`, or a function that returns one."""


def is_outside(network: str) -> bool:
    """Whether a `--network` is FILE.py:NAME, with or without :NUMBER."""
    return ".py:" in network


@functools.cache  # a file is run once, however often its network is looked up
def load_network(network: str) -> tuple[NetworkSpec, int]:
    """(spec, number) of FILE.py:NAME or FILE.py:NAME:NUMBER.

    NAME is a `NetworkSpec` in that file, or a function that returns one. Without NUMBER, it is the
    first that the spec lists, or 0.

    Raises
    ------
    InputError
        There is no such file or name, the file fails, or it is no spec; the message says which.
    """
    path, _, rest = network.rpartition(".py:")
    path += ".py"
    name, _, number = rest.partition(":")
    if number and not number.isdecimal():
        raise InputError(f"--network {network}: expected a number after the second colon")
    module = _import_file(path, network)
    if not hasattr(module, name):
        raise InputError(f"--network {network}: {path} does not define {name!r}")
    spec = _as_spec(getattr(module, name), f"--network {network}")
    return spec, int(number) if number else next(iter(spec.numbers or (0,)))


def _import_file(path: str, network: str) -> ModuleType:
    """Runs a Python file of a user, which can raise anything."""
    if not os.path.isfile(path):
        raise InputError(f"--network {network}: there is no file {path}")
    name = f"network_of_user:{os.path.abspath(path)}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # the name ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look up the types of their fields
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(
            f"--network {network}: {path} fails: {type(error).__name__}: {error}"
        ) from error
    return module


def _as_spec(found: object, origin: str) -> NetworkSpec:
    """The spec itself, or what a function returns."""
    if callable(found):
        try:
            found = found()
        except Exception as error:
            raise InputError(f"{origin} fails: {type(error).__name__}: {error}") from error
    if not isinstance(found, NetworkSpec):
        raise InputError(
            f"{origin}: expected a src.symbols.spec.NetworkSpec or a function that returns one, "
            f"got {type(found).__name__}"
        )
    return found


def installed_specs() -> Iterator[tuple[str, NetworkSpec]]:
    """(entry point's name, spec) of each installed package that provides networks."""
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        origin = f"entry point {point.value} in {ENTRY_POINTS}"
        try:
            found = point.load()
        except Exception as error:
            raise InputError(f"{origin}: {type(error).__name__}: {error}") from error
        yield origin, _as_spec(found, origin)
