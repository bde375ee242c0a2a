"""Finds the modules of a package, so that a new network or loss takes only a new file."""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType


def modules_of(package: str) -> Iterator[ModuleType]:
    """Imports and yields the modules of a package, by name."""
    paths = importlib.import_module(package).__path__
    for found in sorted(pkgutil.iter_modules(paths), key=lambda module: module.name):
        if found.name != "__main__":
            yield importlib.import_module(f"{package}.{found.name}")
