"""Images on canvases: every cell is there once, at even places, and nothing overlaps."""

import numpy as np
import pytest

from src.align.mosaics import cells, pack


@pytest.mark.parametrize("side", [32, 128])
def test_tiles_cover_the_cells_of_each_image_once(side):
    random = np.random.RandomState(side)
    sizes = [tuple(size) for size in random.randint(11, 4 * side, (60, 2)).tolist()]
    tiles, count = pack(sizes, side)
    seen = [np.zeros((cells(height), cells(width)), int) for height, width in sizes]
    used = np.zeros((count, side, side), int)
    for tile in tiles:
        assert tile.y % 2 == tile.x % 2 == tile.top % 2 == tile.left % 2 == 0
        height, width = sizes[tile.image]
        assert tile.top + tile.height <= height
        assert tile.left + tile.width <= width
        rows, columns = tile.top // 2, tile.left // 2
        last_row, last_column = rows + cells(tile.height), columns + cells(tile.width)
        seen[tile.image][rows:last_row, columns:last_column] += 1
        # A window of PNet's pooling, 2×2, never covers two images.
        area = used[tile.canvas, tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
        assert area.shape == (tile.height, tile.width)
        area += 1
    assert all((image == 1).all() for image in seen)
    assert used.max() == 1
    assert count < 2.5 * sum(height * width for height, width in sizes) / side**2


def test_nothing_needs_no_canvas():
    assert pack([], 128) == ([], 0)


@pytest.mark.parametrize(("size", "count"), [(11, 1), (12, 1), (13, 2), (14, 2), (30, 10)])
def test_the_last_cell_of_an_odd_side_is_a_pixel_too_wide(size, count):
    assert cells(size) == count
