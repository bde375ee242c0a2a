"""Checks the opcodes of a pickle before it is loaded, so that loading ends, and fits in memory.

Loading is bounded if the pickle builds a tree: then the work is proportional to its length. An
opcode that takes a list, tuple or dict out of the memo again makes something else: 87 bytes are
enough for a tuple with 2**40 parts, whose hash never ends.
"""

import io
import pickle
import pickletools
from collections.abc import Iterator
from typing import Any, NamedTuple

# A verification set of 7,000 pairs has 0.1 GB.
MOST_BYTES = 1 << 32
# Two per image and one per pair; a set of 7,000 pairs as NumPy arrays has 0.4 million. The objects
# of this many opcodes take up to 0.5 GB.
MOST_OPCODES = 1 << 22
# (images, issame) has 2 levels, a weight file of the detector with its arrays 7.
DEEPEST = 16
# Keys can be chosen so that each is compared with all others; a weight file has 14.
MOST_KEYS = 1000
# Longest text of a number, name or memo index, and longest binary number.
LONGEST_TEXT, LONGEST_NUMBER = 1000, 8
# How often the same bytes may be used again, in bytes altogether: each use may become a copy.
MOST_REPEATED = 1 << 30

_TEXT = {
    "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
}  # fmt: skip
_ATOMS = _TEXT | {
    "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4",
    "FLOAT", "BINFLOAT",
}  # fmt: skip
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_EMPTY = {"EMPTY_LIST", "EMPTY_TUPLE", "EMPTY_DICT"}


class _Item:
    """A value on the stack.

    `depth` is 0 for an atom, else the number of levels. `shareable` values may be used again from
    the memo. `size` is the number of bytes that a use may copy.
    """

    __slots__ = ("depth", "keys", "shareable", "size")

    def __init__(self, depth: int = 0, shareable: bool = True, size: int = 0) -> None:
        self.depth, self.shareable, self.size, self.keys = depth, shareable, size, 0

    def hold(self, items: "list[_Item]") -> None:
        """Puts items into this container."""
        for item in items:
            self.depth = max(self.depth, item.depth + 1)
            self.size += item.size
        if self.depth > DEEPEST:
            raise pickle.UnpicklingError(f"values are nested more than {DEEPEST} levels deep")


class _Mark(NamedTuple):
    at: int


class _Scan:
    """The stack and memo of an unpickler, with an `_Item` in place of each value."""

    def __init__(self) -> None:
        self.stack: list[_Item] = []
        self.marks: list[_Mark] = []
        self.memo: dict[int, _Item] = {}
        self.opcodes = self.repeated = 0

    def step(self, name: str, argument: Any) -> None:
        """Performs one opcode."""
        self.opcodes += 1
        if self.opcodes > MOST_OPCODES:
            raise pickle.UnpicklingError(f"it has more than {MOST_OPCODES} opcodes")
        if name in _ATOMS or name == "GLOBAL":
            self.stack.append(_Item(size=_checked_size(name, argument)))
        elif name in _PUTS:
            self._put(len(self.memo) if name == "MEMOIZE" else argument)
        elif name in _GETS:
            self._get(argument)
        elif name in _EMPTY:
            self.stack.append(_Item(1, shareable=name == "EMPTY_TUPLE"))
        elif name in _TUPLES:
            self._push_container(self._pop(_TUPLES[name]))
        elif name == "MARK":
            self.marks.append(_Mark(len(self.stack)))
        elif name in ("TUPLE", "LIST"):
            self._push_container(self._pop_to_mark())
        elif name == "DICT":
            items = self._pop_to_mark()
            self._push_container([])
            self._set_items(items)
        elif name == "APPEND":
            self._extend(self._pop(1))
        elif name == "APPENDS":
            self._extend(self._pop_to_mark())
        elif name == "SETITEM":
            self._set_items(self._pop(2))
        elif name == "SETITEMS":
            self._set_items(self._pop_to_mark())
        elif name in ("STACK_GLOBAL", "REDUCE"):
            called, argument_item = self._pop(2)
            self.stack.append(_Item(size=called.size + argument_item.size))
        elif name == "BUILD":
            state = self._pop(1)
            self._top().size += state[0].size
        elif name == "POP":
            self._pop(1)
        elif name == "POP_MARK":
            self._pop_to_mark()
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise pickle.UnpicklingError(f"opcode {name}, which plain data does not need")

    def _top(self) -> _Item:
        if len(self.stack) <= (self.marks[-1].at if self.marks else 0):
            raise pickle.UnpicklingError("it takes a value from an empty stack")
        return self.stack[-1]

    def _pop(self, count: int) -> list[_Item]:
        bottom = self.marks[-1].at if self.marks else 0
        if len(self.stack) - count < bottom:
            raise pickle.UnpicklingError("it takes a value from an empty stack")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _pop_to_mark(self) -> list[_Item]:
        if not self.marks:
            raise pickle.UnpicklingError("it ends a list that has no start")
        at = self.marks.pop().at
        items = self.stack[at:]
        del self.stack[at:]
        return items

    def _push_container(self, items: list[_Item]) -> None:
        self.stack.append(_Item(1, shareable=False))
        self.stack[-1].hold(items)

    def _extend(self, items: list[_Item]) -> None:
        self._top().hold(items)

    def _set_items(self, items: list[_Item]) -> None:
        target = self._top()
        if any(key.depth for key in items[::2]):
            raise pickle.UnpicklingError("a key of a dict is a container")
        target.keys += len(items) // 2
        if target.keys > MOST_KEYS:
            raise pickle.UnpicklingError(f"a dict with more than {MOST_KEYS} keys")
        target.hold(items)

    def _put(self, index: int) -> None:
        # Picklers count from 0 or 1; memory is allocated for all indices up to the largest.
        if not 0 <= index <= self.opcodes:
            raise pickle.UnpicklingError(f"memo index {index} after {self.opcodes} opcodes")
        self.memo[index] = self._top()

    def _get(self, index: int) -> None:
        item = self.memo.get(index)
        if item is None:
            raise pickle.UnpicklingError("it uses a value that it has not stored")
        if not item.shareable:
            raise pickle.UnpicklingError("it uses a list, tuple or dict twice")
        self.repeated += item.size
        if self.repeated > MOST_REPEATED:
            raise pickle.UnpicklingError(f"it repeats more than {MOST_REPEATED} bytes")
        self.stack.append(item)


def _checked_size(name: str, argument: Any) -> int:
    """Length of an atom in bytes; UnpicklingError if a number or name is absurdly long."""
    if isinstance(argument, bytes | bytearray | str):
        if name not in _TEXT and len(argument) > LONGEST_TEXT:
            raise pickle.UnpicklingError(f"a name of {len(argument)} characters")
        return len(argument)
    if isinstance(argument, int) and argument.bit_length() > 8 * LONGEST_NUMBER:
        raise pickle.UnpicklingError(f"a number of {argument.bit_length()} bits")
    return 0


def _opcodes(content: bytes) -> Iterator[tuple[str, Any]]:
    """Yields (name, argument); as `pickletools.genops`, which reads no Python 2 text with bytes."""
    file = io.BytesIO(content)
    name = ""
    while name != "STOP":
        code = file.read(1)
        opcode = _OPCODES.get(code.decode("latin1"))
        if opcode is None:
            raise pickle.UnpicklingError("an unknown opcode" if code else "it is cut off")
        name = opcode.name
        if opcode.arg is None:
            yield name, None
        else:
            yield name, file.readline() if name == "STRING" else opcode.arg.reader(file)


def check_pickle(content: bytes) -> None:
    """UnpicklingError if loading the pickle could take more time or memory than it deserves.

    A damaged opcode is a ValueError. Whether a name may be used is up to the unpickler.
    """
    if len(content) > MOST_BYTES:
        raise pickle.UnpicklingError(f"{len(content)} bytes; at most {MOST_BYTES} are read")
    scan = _Scan()
    for name, argument in _opcodes(content):
        scan.step(name, argument)
