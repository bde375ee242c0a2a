"""Reads JSON from unknown sources."""

import json
from typing import Any

# A graph has 4 levels, results of verification 5.
DEEPEST_JSON = 32


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises
    ------
    ValueError
        It is not JSON, not UTF-8, or nested more than `DEEPEST_JSON` levels.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    level = [value]
    for _ in range(DEEPEST_JSON):
        level = [item for container in level for item in _items(container)]
        if not level:
            return value
    raise ValueError(f"it is nested more than {DEEPEST_JSON} levels deep")


def _items(value: Any) -> list[Any]:
    """What a list or dict contains; empty for anything else."""
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
