"""`NetworkSpec`: the description of a network, defined in the network's own module.

A new network is one module with `get_symbol` and one `NetworkSpec`; CONTRIBUTING shows a complete
one. `table` finds the spec; training, the command `src.network_info`, export and the documentation
get it from there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from src.common.errors import InputError
from src.common.mxnet_backend import mx


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the documentation's table of networks.

    `name` is the value of `--network`, `version_output` the head if it is not the spec's, `note`
    a remark instead of the paper; `published` and `accuracy` are InsightFace's model of 2018 and
    its accuracies in %, with a letter for the source.
    """

    name: str
    version_output: str = ""
    note: str = ""
    published: str = ""
    accuracy: str = ""


@dataclasses.dataclass(frozen=True)
class NetworkSpec:
    """A family of networks.

    Attributes
    ----------
    letter
        The first letter of `--network`.
    family, paper
        Name, and number on arXiv.
    build
        `get_symbol(num_classes, num_layers, version_…, bn_mom)` → the embedding, (N, num_classes);
        num_classes is the embedding size.
    rows
        Its networks in the documentation.
    numbers
        Possible numbers after the letter; None means any. If two specs have the same letter, the
        one that lists the number is used.
    versions
        Possible values of `--version-input` and so on, by the name after `--version-`; the network
        ignores the others.
    rnd_type, factor_type
        Of the Xavier initialiser, magnitude 2.
    embedding_size, version_output
        Those of its published networks.
    """

    letter: str
    family: str
    paper: str
    build: Callable[..., mx.sym.Symbol]
    rows: Sequence[Row]
    numbers: Sequence[int] | None = None
    versions: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)
    rnd_type: str = "uniform"
    factor_type: str = "in"
    embedding_size: int = 512
    version_output: str = "E"

    def check(self, num_layers: int, **versions: Any) -> None:
        """Raises InputError, which lists what exists, for a number or version that does not."""
        if self.numbers is not None and num_layers not in self.numbers:
            names = ", ".join(f"{self.letter}{number}" for number in self.numbers)
            raise InputError(f"--network {self.letter}{num_layers}: expected one of {names}")
        for name, value in versions.items():
            possible = self.versions[name]
            if value not in possible:
                kinds = ", ".join(map(str, possible))
                raise InputError(f"--version-{name} {value}: {self._article()} accepts {kinds}")

    def _article(self) -> str:
        """'an r network'; the name itself if the family has only one."""
        if self.numbers is not None and len(self.numbers) == 1:
            return f"{self.letter}{self.numbers[0]}"
        return f"{'an' if self.letter in 'aefhilmnorsx' else 'a'} {self.letter} network"

    def initializer(self) -> mx.init.Initializer:
        """The initialiser of its parameters, as in 2018."""
        return mx.init.Xavier(rnd_type=self.rnd_type, factor_type=self.factor_type, magnitude=2)
