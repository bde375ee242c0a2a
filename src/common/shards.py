"""A part of a data set, for one of several machines that share the work, and its files."""

from __future__ import annotations

import argparse
import os
import re
from typing import NamedTuple

from src.common.errors import InputError

_PART = re.compile(r"(?P<name>.+)\.shard-(?P<part>\d+)-of-(?P<parts>\d+)")


class Shard(NamedTuple):
    """Part `part` (from 0) of `parts` of about equal size, which are in order."""

    part: int = 0
    parts: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard of `I/N`; for `type=`."""
        index, _, count = text.partition("/")
        if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
            raise argparse.ArgumentTypeError(
                f"{text!r}: expected I/N with I from 0 to N - 1, such as 0/3"
            )
        return cls(int(index), int(count))

    @property
    def suffix(self) -> str:
        """Added to the names of files; empty for the only part."""
        return "" if self.parts == 1 else f".shard-{self.part}-of-{self.parts}"

    def places(self, total: int) -> range:
        """The places of this part in a sequence."""
        return range(total * self.part // self.parts, total * (self.part + 1) // self.parts)


WHOLE = Shard()
"""The only part."""


def files_in_parts(folder: str) -> dict[str, int]:
    """Name of each file in a folder that is in parts → number of parts, all of which are there.

    Raises
    ------
    InputError
        A part is missing, or a file is in parts of different numbers.
    """
    found: dict[str, set[Shard]] = {}
    for entry in sorted(os.listdir(folder)):
        if match := _PART.fullmatch(entry):
            found.setdefault(match["name"], set()).add(
                Shard(int(match["part"]), int(match["parts"]))
            )
    for name, shards in found.items():
        counts = sorted({shard.parts for shard in shards})
        if len(counts) > 1:
            raise InputError(
                f"{folder}: {name} is in parts of {' and of '.join(map(str, counts))}: remove "
                "those of an earlier run"
            )
        for part in range(counts[0]):
            if (shard := Shard(part, counts[0])) not in shards:
                raise InputError(
                    f"{os.path.join(folder, name)}{shard.suffix} is missing: run its part (see "
                    "--shard), or copy it here"
                )
    return {name: max(shards).parts for name, shards in found.items()}


def paths_of_parts(path: str, parts: int) -> list[str]:
    """The paths of all parts of a file, in order."""
    return [path + Shard(part, parts).suffix for part in range(parts)]
