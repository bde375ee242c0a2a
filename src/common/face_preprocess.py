"""2018's module of list lines and faces cut out of photos."""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

from src.common.forwarding import forward as _forward

_HOMES = {
    "parse_lst_line": "src.formats.lists",
    "read_image": "src.common.photos",
    "preprocess": "src.align.preprocess",
}
__all__ = list(_HOMES)
__getattr__ = _forward(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
