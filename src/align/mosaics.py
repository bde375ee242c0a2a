"""Images of any sizes packed into canvases of one size, for a network that slides over them.

PNet looks at cells of 12×12 pixels in steps of 2. If an image lies at even coordinates, the cells
within it see the same pixels on a canvas as alone, and give the same numbers. An image that is
larger than the canvas is cut into tiles that overlap by 10 pixels, so that no cell is lost.
"""

from collections.abc import Sequence
from typing import NamedTuple

CELL, STRIDE = 12, 2


class Tile(NamedTuple):
    """A part of an image on a canvas: where it is in the image, its size, and its place."""

    image: int
    top: int
    left: int
    height: int
    width: int
    canvas: int
    y: int
    x: int


def cells(size: int) -> int:
    """The number of cells along a side of an image; the last may be a pixel too wide."""
    # Of a side of 2n or 2n + 1 pixels, where the last pooling window has a single pixel.
    return (size - CELL + 1) // STRIDE + 1


def pack(sizes: Sequence[tuple[int, int]], side: int) -> tuple[list[Tile], int]:
    """(tiles, number of canvases) for images of the given heights and widths, at least 11 each.

    Parameters
    ----------
    side
        Height and width of a canvas, even.
    """
    parts = [
        (height, width, image, top, left)
        for image, size in enumerate(sizes)
        for top, height in _cut(size[0], side)
        for left, width in _cut(size[1], side)
    ]
    tiles: list[Tile] = []
    canvas = y = x = shelf = 0
    for height, width, image, top, left in sorted(parts, reverse=True):  # rows of similar height
        if x + width > side:
            y, x = y + shelf, 0
            shelf = 0
        if y + height > side:
            canvas, y, x, shelf = canvas + 1, 0, 0, 0
        tiles.append(Tile(image, top, left, height, width, canvas, y, x))
        shelf = max(shelf, _even(height))
        x += _even(width)
    return tiles, canvas + 1 if tiles else 0


def _even(size: int) -> int:
    return size + size % STRIDE


def _cut(size: int, side: int) -> list[tuple[int, int]]:
    """(start, length) of the tiles along one side of an image."""
    step = side - CELL + STRIDE
    count = max(-(-(cells(size) * STRIDE) // step), 1)
    return [(number * step, min(side, size - number * step)) for number in range(count)]
