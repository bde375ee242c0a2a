"""What a worker process does with a group of photos: read → find faces → choose → warp → write.

Other threads read files ahead. The faces of a group are written at its end, because waiting for the
disk takes as long for many files as for one. The stages in the middle are in `ladder` and
`one_detection`.
"""

import base64
import contextlib
import dataclasses
import functools
import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import cv2
import numpy as np

from src.align.detector import MtcnnDetector
from src.align.journal import Outcome
from src.align.jpeg_2018 import decode_photo_2018
from src.align.photo import Photo
from src.align.planning import Job
from src.align.settings import Settings
from src.align.styles import STYLES
from src.common.devices import parse_devices
from src.common.errors import InputError
from src.common.output_files import write_files
from src.common.photos import decode_photo, read_content

# Faces are looked for in so many photos at once; a larger number is not faster.
BATCH_PHOTOS = 16
# Decoded photos in memory, in addition to one of any size.
BATCH_BYTES = 16 << 20
READ_AHEAD = 4  # files

Opened = tuple[Job, Photo | Outcome]
"""A job and its photo, or why it cannot be read."""


@functools.lru_cache(maxsize=1)
def networks(det_model: str | None, devices: str) -> MtcnnDetector:
    """The detector, created once in each process, on one of the devices (see `parse_devices`)."""
    contexts = parse_devices(devices)
    return MtcnnDetector.create(det_model, contexts[_worker_number() % len(contexts)])


def _worker_number() -> int:
    """Number of this worker process from 0; 0 for another process."""
    number = multiprocessing.current_process().name.rpartition("-")[2]  # of loky: LokyProcess-1
    return int(number) - 1 if number.isdecimal() else 0


def _detector(settings: Settings, devices: str) -> MtcnnDetector:
    detector = networks(settings.det_model, devices)
    return dataclasses.replace(detector, thresholds=settings.thresholds, factor=settings.factor)


def align_group(jobs: Sequence[Job], settings: Settings, devices: str = "cpu") -> list[Outcome]:
    """Aligns some photos, and writes the faces to their targets, complete or not at all."""
    outcomes: list[Outcome] = []
    faces: dict[str, bytes] = {}  # a photo that a list names twice has one face
    with ThreadPoolExecutor(READ_AHEAD) as reader:
        for batch in _batches(_read_ahead(jobs, reader)):
            photos = [photo for _, photo in batch if isinstance(photo, Photo)]
            STYLES[settings.style].align(photos, _detector(settings, devices), settings)
            for job, photo in batch:
                outcomes.append(_outcome(photo))
                if isinstance(photo, Photo) and photo.face is not None:
                    faces[job.target] = encode(photo.face, job.target)
    write_files(list(faces.items()))
    # Faces of earlier runs must not stay: lists are made from the folder.
    for job in jobs:
        if job.target and job.target not in faces:
            with contextlib.suppress(FileNotFoundError):
                os.remove(job.target)
    return outcomes


def _read_ahead(jobs: Sequence[Job], reader: Executor) -> Iterator[tuple[Job, Future[bytes]]]:
    """Yields (job, the bytes of its photo), while the next ones are being read."""
    reading: deque[tuple[Job, Future[bytes]]] = deque()
    for job in jobs:
        reading.append((job, reader.submit(_content, job)))
        if len(reading) > READ_AHEAD:
            yield reading.popleft()
    yield from reading


def _batches(contents: Iterable[tuple[Job, Future[bytes]]]) -> Iterator[list[Opened]]:
    """Yields decoded photos, as many at once as the limits allow."""
    opened: list[Opened] = []
    size = 0
    for job, content in contents:
        try:
            photo = _decoded(job, content.result())
            size += photo.image.nbytes
            opened.append((job, photo))
        except (InputError, OSError) as error:
            opened.append((job, Outcome(None, _reason(error, job.photo), final=False)))
        if size > BATCH_BYTES or len(opened) == BATCH_PHOTOS:
            yield opened
            opened, size = [], 0
    if opened:
        yield opened


def _outcome(photo: Photo | Outcome) -> Outcome:
    if isinstance(photo, Outcome):
        return photo
    return Outcome(photo.way, photo.reason, found=photo.found and photo.found.numbers())


def _content(job: Job) -> bytes:
    """The encoded photo, which may lie in a larger file as base64 text."""
    if not job.stored:
        return read_content(job.photo)
    with open(job.stored.path, "rb") as file:
        file.seek(job.stored.offset)
        text = file.read(job.stored.size)
    try:
        return base64.b64decode(text)
    except ValueError as error:
        raise InputError(f"{job.photo}: {error}") from None


def _decoded(job: Job, content: bytes) -> Photo:
    """The photo of a job; InputError if it cannot be decoded."""
    # Known boxes and landmarks are in pixels of the file, before it is rotated upright.
    upright = job.bbox is None and job.landmark is None
    # 2018: OpenCV decoded what was stored in a larger file, Pillow the others.
    decode = decode_photo if job.stored else decode_photo_2018
    return Photo(decode(content, job.photo, upright=upright), job.bbox, job.landmark)


def encode(face: np.ndarray, target: str) -> bytes:
    """An aligned face (H, W, 3), RGB, in the format of the extension of `target`."""
    extension = os.path.splitext(target)[1].lower()
    _, encoded = cv2.imencode(extension, cv2.cvtColor(face, cv2.COLOR_RGB2BGR))
    return encoded.tobytes()


def _reason(error: Exception, photo: str) -> str:
    """An error's text without the name of the photo, which is written next to it."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    text = str(error)
    if isinstance(error, OSError):
        text = error.strerror or text
    return text.removeprefix(f"{photo}: ")
