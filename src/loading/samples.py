"""2018's way to take images from a set one by one, for scripts that do not train."""

import os
from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np

from src.common.mxnet_backend import mx
from src.formats.face_layout import IdentityRanges
from src.formats.records import RecordReader
from src.loading.image_batches import ImageBatches

Sample = tuple[float, bytes, None, None]
"""Label, encoded image, box, landmarks."""


class RecordNumbers:
    """An attribute with record numbers: an array or a range of step 1, until somebody looks at it.

    Scripts of 2018 expect a list, and may change it: then it becomes one. A list of 17 million
    numbers takes 600 MB and seconds; training only needs `array`.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    @overload
    def __get__(self, instance: None, owner: type) -> "RecordNumbers": ...

    @overload
    def __get__(self, instance: object, owner: type) -> list[int]: ...

    def __get__(self, instance: object, owner: type) -> "RecordNumbers | list[int]":
        if instance is None:
            return self
        numbers = getattr(instance, self._name)
        if not isinstance(numbers, list):
            numbers = self.array(instance).tolist()
            setattr(instance, self._name, numbers)
        return numbers

    def __set__(self, instance: Any, numbers: Sequence[int] | np.ndarray) -> None:
        setattr(instance, self._name, numbers)

    def array(self, instance: Any) -> np.ndarray:
        """The numbers, int64 (N,)."""
        numbers = getattr(instance, self._name)
        if isinstance(numbers, range):
            return np.arange(numbers.start, numbers.stop)
        return np.asarray(numbers, np.int64)

    def count(self, instance: Any) -> int:
        """How many there are."""
        return len(getattr(instance, self._name))


class SampleReader:
    """The methods and attributes of 2018's `FaceImageIter` that its batches do not need here.

    Attributes
    ----------
    imgrec
        The records, with `read_idx` and `keys`.
    seq
        This epoch's order of record numbers.
    cur
        How many samples of this epoch `next_sample` has returned.
    auglist, path_root
        For `augmentation_transform` and `read_image`.
    """

    seq = RecordNumbers()
    imgidx = RecordNumbers()
    reader: RecordReader
    id2range: IdentityRanges
    provide_data: list[Any]
    batches: ImageBatches
    mean: np.ndarray | None
    epoch: int
    cur: int
    auglist: Sequence[Callable[[mx.nd.NDArray], Sequence[mx.nd.NDArray]]] = ()
    path_root: str = ""

    @property
    def imgrec(self) -> RecordReader:
        """The records."""
        return self.reader

    @property
    def seq_identity(self) -> list[int]:
        """Numbers of the identity records."""
        return list(self.id2range)

    @property
    def data_shape(self) -> tuple[int, int, int]:
        """(3, H, W)"""
        return tuple(self.provide_data[0].shape[1:])

    @property
    def image_size(self) -> str:
        """'height,width'"""
        return "{1},{2}".format(*self.data_shape)

    @property
    def is_init(self) -> bool:
        """Whether the first epoch has begun."""
        return self.epoch >= 0

    @property
    def nbatch(self) -> int:
        """How many batches of this epoch have been returned."""
        return self.batches.position

    @property
    def nd_mean(self) -> mx.nd.NDArray | None:
        """`mean` as an NDArray (1, 1, 3), or None."""
        return None if self.mean is None else mx.nd.array(self.mean)

    def next_sample(self) -> Sample:
        """(label, encoded image, None, None) of the next image in the order of this epoch.

        Raises
        ------
        StopIteration
            At the end of the epoch; `reset` starts the next one.
        """
        if self.cur >= len(self.seq):
            raise StopIteration
        record = self.reader.read(self.seq[self.cur])
        self.cur += 1
        return float(record.label[0]), record.content, None, None

    def imdecode(self, s: bytes) -> mx.nd.NDArray:
        """Pixels of an encoded image, uint8 (H, W, 3), RGB."""
        return mx.image.imdecode(s)

    def check_valid_image(self, data: Sequence[mx.nd.NDArray]) -> None:
        """Raises RuntimeError if the first image has no shape."""
        if len(data[0].shape) == 0:
            raise RuntimeError("the image has no shape")

    def check_data_shape(self, data_shape: Sequence[int]) -> None:
        """Raises ValueError unless the shape is (3, H, W)."""
        if len(data_shape) != 3 or data_shape[0] != 3:
            raise ValueError(f"data_shape {tuple(data_shape)}: expected (3, height, width)")

    def read_image(self, fname: str) -> bytes:
        """The bytes of a file in `path_root`."""
        with open(os.path.join(self.path_root, fname), "rb") as file:
            return file.read()

    def augmentation_transform(self, data: Sequence[mx.nd.NDArray]) -> list[mx.nd.NDArray]:
        """All images after each function of `auglist`, which returns several for one."""
        images = list(data)
        for augment in self.auglist:
            images = [result for image in images for result in augment(image)]
        return images

    def postprocess_data(self, datum: mx.nd.NDArray) -> mx.nd.NDArray:
        """An image (H, W, C) as (C, H, W)."""
        return mx.nd.transpose(datum, axes=(2, 0, 1))
