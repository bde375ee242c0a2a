"""The photos of a data set in little memory: some 50 bytes each, instead of an object each."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, overload

import numpy as np
from easydict import EasyDict

from src.common.errors import InputError

Known = tuple[np.ndarray | None, np.ndarray | None]
"""What comes with a photo: box (4,) or None, landmarks (3, 2) or None."""


class Stored(NamedTuple):
    """The base64 text of a photo within a file: path, first byte, number of bytes."""

    path: str
    offset: int
    size: int


class Item(NamedTuple):
    """A photo of a data set; the first five fields are those of 2018.

    Attributes
    ----------
    id
        Name within the data set.
    classname
        The label, a number from 0.
    bbox
        float32 (4,), or None
    landmark
        float32 (3, 2), left eye, right eye, nose; or None.
    stored
        Where the photo is, if it lies within a larger file.
    """

    id: str
    classname: str
    image_path: str
    bbox: np.ndarray | None = None
    landmark: np.ndarray | None = None
    stored: Stored | None = None

    def as_in_2018(self) -> EasyDict:
        """The object that 2018's functions return."""
        values = self._asdict()
        if self.stored is None:
            del values["stored"]
        return EasyDict(values)


class FlatTexts(Sequence[str]):
    """Texts that can be appended and read by their index; also paths that are not UTF-8."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._ends = array("q", [0])

    def append(self, text: str) -> None:
        """Adds a text at the end."""
        self._content += text.encode("utf-8", "surrogateescape")
        self._ends.append(len(self._content))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        index = range(len(self))[index]
        encoded = self._content[self._ends[index] : self._ends[index + 1]]
        return encoded.decode("utf-8", "surrogateescape")


class PhotoSet(Sequence[Item]):
    """Photos below a root; an `Item` is made whenever it is asked for.

    Parameters
    ----------
    root
        Folder, or the file that contains the photos.
    photos
        (path relative to the root, label) of each.
    describe
        Returns what is known of the photo at a path.
    whole_path_id
        Whether the id is the whole path.
    """

    def __init__(
        self,
        root: str,
        photos: Iterable[tuple[str, int | str]],
        describe: Callable[[str], Known] | None = None,
        whole_path_id: bool = False,
    ) -> None:
        self._prefix = root if root.endswith("/") else f"{root}/"
        self._describe = describe
        self._whole_path_id = whole_path_id
        self._names, self._labels = FlatTexts(), array("q")
        for name, label in photos:
            self._names.append(name)
            try:
                self._labels.append(int(label))
            except OverflowError:
                raise InputError(f"{root}: label {label} of {name} is above 2^63") from None

    def __len__(self) -> int:
        return len(self._labels)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        path, label = self.path(index), str(self._labels[index])
        name = path if self._whole_path_id else self._names[index]
        bbox, landmark = self._describe(path) if self._describe else (None, None)
        return Item(name, label, path, bbox, landmark, self._place(index))

    def __iter__(self) -> Iterator[Item]:
        return (self[index] for index in range(len(self)))

    def path(self, index: int) -> str:
        """The path of a photo."""
        return self._prefix + self._names[index]

    def _place(self, index: int) -> Stored | None:
        return None


class PhotosInFile(PhotoSet):
    """Photos that lie in one file as base64 text.

    Parameters
    ----------
    path
    photos
        (name, label, first byte, number of bytes) of each.
    """

    def __init__(self, path: str, photos: Iterable[tuple[str, int, int, int]]) -> None:
        self._path = path
        self._places = array("q")
        super().__init__(path, self._without_places(photos))

    def _without_places(
        self, photos: Iterable[tuple[str, int, int, int]]
    ) -> Iterator[tuple[str, int]]:
        for name, label, offset, size in photos:
            self._places.extend((offset, size))
            yield name, label

    def _place(self, index: int) -> Stored:
        return Stored(self._path, self._places[2 * index], self._places[2 * index + 1])
