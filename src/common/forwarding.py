"""2018's module names for code that has moved.

A module such as `common.face_image` contains no code: when a name is used, it is looked up in the
module that defines it. So third-party code finds everything where it was in 2018, and the lower
packages do not import the higher ones. Nothing in `src` imports these modules. Type checkers see
their names in the `.pyi` next to them.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def forward(module: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a module whose names are defined elsewhere.

    Parameters
    ----------
    module
        The module's own name.
    homes
        Name → the module that defines it.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return find
