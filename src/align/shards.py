"""A part of a data set, for one of several machines that share the work."""

from __future__ import annotations

import argparse
from typing import NamedTuple


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
