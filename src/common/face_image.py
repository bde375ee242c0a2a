"""2018's module of data sets: folders of photos, and the `property` file."""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

from src.common.forwarding import forward as _forward

_PHOTO_SETS, _PROPERTY = "src.formats.photo_sets", "src.formats.property"
_HOMES = {
    "load_property": _PROPERTY,
    "write_property": _PROPERTY,
    "DATASETS": _PHOTO_SETS,
    "get_dataset": _PHOTO_SETS,
    "get_dataset_celeb": _PHOTO_SETS,
    "get_dataset_clfw": _PHOTO_SETS,
    "get_dataset_common": _PHOTO_SETS,
    "get_dataset_facescrub": _PHOTO_SETS,
    "get_dataset_fgnet": _PHOTO_SETS,
    "get_dataset_megaface": _PHOTO_SETS,
    "get_dataset_webface": _PHOTO_SETS,
    "get_dataset_ytf": _PHOTO_SETS,
}
__all__ = list(_HOMES)
__getattr__ = _forward(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
