"""Aligns the photos of a data set in worker processes; a stopped run can be resumed.

The list and all counts do not depend on the workers, nor on whether a run was resumed.

Photos go through stages, a group at a time: read → find faces → choose one → warp → write. The
stages in the middle are in `ladder`.
"""

import base64
import contextlib
import dataclasses
import functools
import logging
import os
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
from easydict import EasyDict

from src.align.detector import MtcnnDetector
from src.align.journal import Journal, Outcome
from src.align.jpeg_2018 import read_photo_2018
from src.align.photo import Photo
from src.align.planning import Job, plan, remove_stale
from src.align.settings import Settings
from src.align.styles import STYLES
from src.common.errors import InputError, listed
from src.common.output_files import whole_file
from src.common.parallel import ordered_map
from src.common.photos import decode_photo

log = logging.getLogger(__name__)

# A group is what a worker process gets at once. It is small, because a killed run loses its groups:
# four photos of Labeled Faces in the Wild (15 kB each), one from a phone's camera.
GROUP_PHOTOS = 4
GROUP_BYTES = 1 << 20
# Decoded photos in memory at once, in addition to one of any size.
DECODED_BYTES = 16 << 20


# ---------------------------------------------------------------------------------- one group


@functools.lru_cache(maxsize=1)
def _networks(det_model: str | None) -> MtcnnDetector:
    """The detector, created once in each worker process."""
    return MtcnnDetector.create(det_model)


def _detector(settings: Settings) -> MtcnnDetector:
    networks = _networks(settings.det_model)
    return dataclasses.replace(networks, thresholds=settings.thresholds, factor=settings.factor)


def align_group(jobs: Sequence[Job], settings: Settings) -> list[Outcome]:
    """Aligns some photos, and writes each face to its target, complete or not at all."""
    outcomes: list[Outcome] = []
    opened: list[tuple[Job, Photo | Outcome]] = []
    size = 0
    for job in jobs:
        photo = _read_or_explain(job)
        opened.append((job, photo))
        size += photo.image.nbytes if isinstance(photo, Photo) else 0
        if size > DECODED_BYTES:
            outcomes += _align_opened(opened, settings)
            opened, size = [], 0
    return outcomes + _align_opened(opened, settings) if opened else outcomes


def _read_or_explain(job: Job) -> Photo | Outcome:
    try:
        return read(job)
    except (InputError, OSError) as error:
        return Outcome(None, _reason(error, job.photo), final=False)


def _align_opened(opened: list[tuple[Job, Photo | Outcome]], settings: Settings) -> list[Outcome]:
    """The outcomes of photos that are in memory, or could not be read."""
    photos = [photo for _, photo in opened if isinstance(photo, Photo)]
    STYLES[settings.style].align(photos, _detector(settings), settings)
    outcomes = []
    for job, photo in opened:
        if isinstance(photo, Photo) and photo.face is not None:
            write(photo.face, job.target)
        elif job.target:
            # A face from an earlier run must not stay: lists are made from the folder.
            with contextlib.suppress(FileNotFoundError):
                os.remove(job.target)
        outcomes.append(_outcome(photo) if isinstance(photo, Photo) else photo)
    return outcomes


def _outcome(photo: Photo) -> Outcome:
    return Outcome(photo.way, photo.reason, found=photo.found and photo.found.numbers())


def read(job: Job) -> Photo:
    """The photo of a job; InputError or OSError if it cannot be read."""
    # Known boxes and landmarks are in pixels of the file, before it is rotated upright.
    upright = job.bbox is None and job.landmark is None
    if job.stored:
        return Photo(decode_photo(_stored_content(job), job.photo, upright=upright))
    return Photo(read_photo_2018(job.photo, upright), job.bbox, job.landmark)


def _stored_content(job: Job) -> bytes:
    """The bytes of a photo that lies in a larger file as base64 text."""
    assert job.stored is not None
    with open(job.stored.path, "rb") as file:
        file.seek(job.stored.offset)
        text = file.read(job.stored.size)
    try:
        return base64.b64decode(text)
    except ValueError as error:
        raise InputError(f"{job.photo}: {error}") from None


def write(face: np.ndarray, target: str) -> None:
    """Writes an aligned face (H, W, 3), RGB, in the format of the extension of `target`."""
    extension = os.path.splitext(target)[1].lower()
    _, encoded = cv2.imencode(extension, np.ascontiguousarray(face[..., ::-1]))
    with whole_file(target) as file:
        file.write(encoded.tobytes())


def _reason(error: Exception, photo: str) -> str:
    """An error's text without the name of the photo, which is written next to it."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    text = str(error)
    if isinstance(error, OSError):
        text = error.strerror or text
    return text.removeprefix(f"{photo}: ")


# ---------------------------------------------------------------------------------- all photos


def align_dataset(
    dataset: Sequence[EasyDict],
    output_dir: str,
    settings: Settings,
    workers: int,
    report: Callable[[int, np.ndarray], None],
    list_path: str,
    source: int = 1,
) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Aligns the photos of a data set and writes their list; see the module.

    Faces of earlier runs whose photos no longer exist are removed.

    Parameters
    ----------
    dataset
        Items of `src.formats.photo_sets`.
    report
        Called with (number of earlier photos, counters) before each photo, and at the end.
    source
        As for `plan`.

    Returns
    -------
    counters
        int32 (N,): photos aligned in each of the style's N ways.
    skipped
        (photo, reason)

    Raises
    ------
    InputError
        The output would overwrite photos.
    """
    _networks(settings.det_model)  # missing weights are reported once, before any worker starts
    jobs, rejected = plan(dataset, output_dir, settings, source)
    lines, skipped, style = [], [], STYLES[settings.style]
    counters = np.zeros(len(style.ways), dtype=np.int32)
    journal = Journal(f"{list_path}.journal", settings._asdict(), Settings._field_defaults)
    with journal.open():
        if style.writes_faces:
            remove_stale(journal.aligned(), jobs, output_dir, source, style.names_photos)
        outcomes = _outcomes(jobs, journal, settings, workers)
        for number, item in enumerate(dataset):
            report(number, counters)
            reason = rejected.get(number)
            if reason is None:
                job, outcome = next(outcomes)
                reason = outcome.reason
            if reason:
                skipped.append((item.image_path, reason))
                log.warning("%s: skipped: %s", item.image_path, reason)
            else:
                counters[outcome.way] += 1
                lines.append(f"{style.line(item, job.target, outcome)}\n")
    report(len(dataset), counters)
    with whole_file(list_path, "w", errors="surrogateescape") as file:
        file.writelines(lines)
    return counters, skipped


def _groups(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """The jobs in groups of at most `GROUP_PHOTOS`, and of about `GROUP_BYTES` of files."""
    group: list[Job] = []
    size = 0
    for job in jobs:
        if group and (len(group) == GROUP_PHOTOS or size + job.size > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(job)
        size += job.size
    if group:
        yield group


def _outcomes(
    jobs: Sequence[Job], journal: Journal, settings: Settings, workers: int
) -> Iterator[tuple[Job, Outcome]]:
    """Yields (job, outcome) in order; a new outcome is added to the journal first."""
    known = [journal.outcome(job.key, job.target) for job in jobs]
    left = [job for job, outcome in zip(jobs, known, strict=True) if outcome is None]
    if len(left) < len(jobs):
        log.warning("%d of %d photos are already done", len(jobs) - len(left), len(jobs))
    fresh = _align_all(left, settings, workers)
    for job, outcome in zip(jobs, known, strict=True):
        if outcome is None:
            outcome = next(fresh)
            journal.add(job.key, outcome)
        yield job, outcome


def _align_all(jobs: Sequence[Job], settings: Settings, workers: int) -> Iterator[Outcome]:
    groups = list(_groups(jobs))
    work = functools.partial(align_group, settings=settings)
    workers = min(workers, len(groups)) or 1
    for outcomes in ordered_map(work, groups, workers, "aligning", count=len, name=_photos_of):
        yield from outcomes


def _photos_of(group: Sequence[Job]) -> str:
    return listed(job.photo for job in group)
