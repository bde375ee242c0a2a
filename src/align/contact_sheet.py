"""A page to look at after an alignment: faces of each method, doubtful ones, skipped photos."""

import heapq
from collections.abc import Sequence

import cv2
import numpy as np

from src.align.journal import Outcome
from src.common.errors import InputError
from src.common.html_page import Section, figure_tag, image_tag, page, picture_row, table
from src.common.output_files import whole_file
from src.common.photos import read_photo
from src.formats.photo_set import Item

SAMPLES = 24  # pictures in a section
PHOTO_SIDE = 160  # pixels of the longer side of a skipped photo


class ContactSheet:
    """Chooses pictures while photos are aligned; they are read when the page is written.

    Parameters
    ----------
    path
        HTML file.
    ways
        Descriptions of the methods.
    """

    def __init__(self, path: str, ways: Sequence[str]) -> None:
        self._path = path
        self._ways = ways
        self._random = np.random.RandomState(0)
        self._counts = [0] * (len(ways) + 1)  # in each way, and skipped
        self._samples: list[list[tuple[str, str]]] = [[] for _ in self._counts]
        self._lowest: list[tuple[float, str]] = []  # a heap of the negative scores

    def add(self, item: Item, target: str, outcome: Outcome) -> None:
        """Takes note of a photo, whose face is at `target`."""
        place = len(self._ways) if outcome.way is None else outcome.way
        picture = (item.image_path if outcome.reason else target, outcome.reason)
        self._counts[place] += 1
        samples = self._samples[place]
        if len(samples) < SAMPLES:
            samples.append(picture)
        else:  # every photo is chosen with the same probability
            chosen = self._random.randint(self._counts[place])
            if chosen < SAMPLES:
                samples[chosen] = picture
        if outcome.found and not outcome.reason:
            score = outcome.found[4]
            heapq.heappush(self._lowest, (-score, target))
            if len(self._lowest) > SAMPLES:
                heapq.heappop(self._lowest)

    def write(self) -> None:
        """Writes the page."""
        names = [*self._ways, "skipped"]
        counts = table(("method", "photos"), zip(names, self._counts, strict=True))
        sections = [Section("Photos", counts)]
        for name, count, samples in zip(names, self._counts, self._samples, strict=True):
            if samples:
                shown = f"{len(samples)} of {count}" if count > len(samples) else str(count)
                figures = [_figure(path, reason) for path, reason in sorted(samples)]
                sections.append(Section(f"{name.capitalize()}: {shown}", picture_row(figures)))
        if self._lowest:
            lowest = sorted(self._lowest, reverse=True)
            figures = [_figure(path, f"{-score:.3f}") for score, path in lowest]
            sections.append(Section("Lowest scores of the detector", picture_row(figures)))
        with whole_file(self._path, "w") as file:
            file.write(page("Aligned faces", sections))


def _figure(path: str, caption: str) -> str:
    """HTML of a picture with its name below it."""
    name = "/".join(path.split("/")[-2:]).encode("utf-8", "replace").decode()
    picture = '<span style="display:inline-block;width:112px">cannot be shown</span>'
    try:
        image = read_photo(path)
        scale = PHOTO_SIDE / max(image.shape[:2])
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        picture = image_tag(image, path)
    except (InputError, OSError, cv2.error):
        pass
    return figure_tag(picture, (name, caption), PHOTO_SIDE)
