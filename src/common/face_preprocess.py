"""2018's module of list lines and faces cut out of photos."""

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
