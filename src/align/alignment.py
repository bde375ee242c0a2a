"""Aligns the photos of a data set in worker processes; goes on where an earlier run stopped."""

import contextlib
import functools
import logging
import os
import zlib
from typing import NamedTuple

import cv2
import numpy as np

from src.align.journal import Journal, Outcome
from src.align.jpeg_2018 import read_photo_2018
from src.align.ladder import FACE_CHOICES, SMALLEST_FACE, Detector, align_face
from src.common.errors import InputError
from src.common.face_preprocess import format_aligned_line
from src.common.output_files import whole_file
from src.common.parallel import ordered_map

log = logging.getLogger(__name__)

JOURNAL_NAME = "lst.journal"

# What OpenCV writes and the training iterators read; other photos become .jpg.
KEPT_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp")


class Settings(NamedTuple):
    """What the aligned faces depend on, besides the photos."""

    image_size: tuple = (112, 112)
    keep_undetected: bool = False
    det_model: str | None = None
    face: str = "first"


class Job(NamedTuple):
    """One photo to align."""

    photo: str
    name: str
    """Of the aligned face within the output folder."""

    target: str
    bbox: np.ndarray | None
    landmark: np.ndarray | None
    fingerprint: str


# ---------------------------------------------------------------------------------- one photo


def face_name(photo):
    """Name of a photo's aligned face within the output folder: `<set>/<person>/<photo>`.

    Set and person are the two folders above the photo, whatever they mean in a data set's kind.
    """
    data_set, person, name = os.path.abspath(photo).split(os.sep)[-3:]
    if not name.lower().endswith(KEPT_ENDINGS):
        name += ".jpg"
    return os.path.join(data_set, person, name)


def fingerprint(item, settings):
    """Text that changes when the photo or anything that decides on its alignment does."""
    try:
        status = os.stat(item.image_path)
        stamp = f"{status.st_size}-{status.st_mtime_ns}"
    except OSError:
        stamp = "missing"
    known = [None if value is None else value.tolist() for value in (item.bbox, item.landmark)]
    return f"{stamp}-{zlib.crc32(repr((tuple(settings), known)).encode()):08x}"


@functools.lru_cache(maxsize=1)
def _detector(det_model):
    """One for each worker process."""
    return Detector.create(det_model)


def align_photo(job, settings):
    """Outcome of one photo, whose aligned face is then in `job.target`, whole or not at all."""
    # The face of an earlier photo or setting must not outlive a skip: lists are made of the folder.
    with contextlib.suppress(FileNotFoundError):
        os.remove(job.target)
    try:
        # Known boxes and landmarks count in the pixels as they lie in the file.
        upright = job.bbox is None and job.landmark is None
        image = read_photo_2018(job.photo, upright)
    except (InputError, OSError) as error:
        return Outcome(None, _reason(error, job.photo), final=False)
    detector = _detector(settings.det_model)
    try:
        face, way = align_face(
            image,
            job.bbox,
            job.landmark,
            detector,
            settings.image_size,
            settings.keep_undetected,
            FACE_CHOICES[settings.face],
        )
    except cv2.error as error:  # OpenCV takes no photo of more than 32,767 pixels in width
        return Outcome(None, f"OpenCV refuses it: {error.err}")
    except InputError as error:  # landmarks that the detector put on one point
        return Outcome(None, str(error))
    if face is None:
        height, width = image.shape[:2]
        return Outcome(
            None, f"no face of at least {SMALLEST_FACE} pixels found in {width}×{height} pixels"
        )
    ending = os.path.splitext(job.target)[1].lower()
    _, encoded = cv2.imencode(ending, np.ascontiguousarray(face[..., ::-1]))
    with whole_file(job.target) as file:
        file.write(encoded.tobytes())
    return Outcome(way, "")


def _reason(error, photo):
    """An error's text without the photo's name, which stands beside it."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    text = str(error) if isinstance(error, InputError) else error.strerror or str(error)
    return text.removeprefix(f"{photo}: ")


# ---------------------------------------------------------------------------------- all photos


def align_dataset(dataset, output_dir, settings, workers, report):
    """Aligns the photos of a data set and writes their list, `output_dir/lst`.

    The list and all counts are the same for any number of workers, and for a run that was stopped
    and started again.

    Parameters
    ----------
    dataset : list of EasyDict
        Of `src.common.face_image`.
    output_dir : str
    settings : Settings
    workers : int
        Processes.
    report : callable
        Called with (number of photos seen before, counters) before each photo.

    Returns
    -------
    counters : int32 ndarray of shape (5,)
        Photos aligned in each of `src.align.ladder.WAYS`.
    skipped : list of (photo, reason)

    Raises
    ------
    InputError
        The output would overwrite photos.
    """
    _detector(settings.det_model)  # missing weights are said once, before any worker starts
    jobs, refused = _plan(dataset, output_dir, settings)
    lines, skipped = [], []
    counters = np.zeros(5, dtype=np.int32)
    os.makedirs(output_dir, exist_ok=True)
    with Journal(os.path.join(output_dir, JOURNAL_NAME)).open() as journal:
        outcomes = _outcomes(jobs, journal, settings, workers)
        for number, item in enumerate(dataset):
            report(number, counters)
            reason = refused.get(number)
            if reason is None:
                job, outcome = next(outcomes)
                reason = outcome.reason
            if reason:
                skipped.append((item.image_path, reason))
                log.warning("%s: skipped: %s", item.image_path, reason)
            else:
                counters[outcome.way] += 1
                lines.append(format_aligned_line(job.target, item.classname))
    report(len(dataset), counters)
    with whole_file(os.path.join(output_dir, "lst"), "w", errors="surrogateescape") as file:
        file.writelines(line + "\n" for line in lines)
    return counters, skipped


def _plan(dataset, output_dir, settings):
    """(jobs, in the order of the data set; {index of a photo that cannot be one: reason})."""
    jobs, refused, photo_of = [], {}, {}
    for number, item in enumerate(dataset):
        name = face_name(item.image_path)
        target = os.path.join(output_dir, name)
        if os.path.abspath(target) == os.path.abspath(item.image_path):
            raise InputError(
                f"{item.image_path} would be overwritten by its aligned face: choose another "
                "--output-dir"
            )
        other = photo_of.setdefault(target, item.image_path)
        if any(character in target for character in "\t\r\n"):
            refused[number] = "a name with a tab or line end cannot stand in a list: rename"
        elif other != item.image_path:
            refused[number] = f"its aligned face would have the name of that of {other}: rename"
        else:
            mark = fingerprint(item, settings)
            jobs.append(Job(item.image_path, name, target, item.bbox, item.landmark, mark))
    return jobs, refused


def _outcomes(jobs, journal, settings, workers):
    """Yields (job, outcome) in order, of the journal or freshly worked out and then noted in it."""
    known = [journal.outcome(job.name, job.fingerprint, job.target) for job in jobs]
    left = [job for job, outcome in zip(jobs, known, strict=True) if outcome is None]
    if len(left) < len(jobs):
        log.warning("%d of %d photos are done already", len(jobs) - len(left), len(jobs))
    fresh = iter(())
    if left:
        work = functools.partial(align_photo, settings=settings)
        fresh = ordered_map(work, left, min(workers, len(left)), "aligning")
    for job, outcome in zip(jobs, known, strict=True):
        if outcome is None:
            outcome = next(fresh)
            journal.add(job.name, job.fingerprint, outcome)
        yield job, outcome
