"""Aligns the photos of a data set in worker processes; a stopped run can be resumed.

The list and all counts do not depend on the workers, nor on whether a run was resumed.
"""

import functools
import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from easydict import EasyDict

from src.align.journal import Journal, Outcome
from src.align.planning import Job, plan, remove_stale
from src.align.settings import Settings
from src.align.stages import align_group, networks
from src.align.styles import STYLES
from src.common.errors import listed
from src.common.output_files import whole_file
from src.common.parallel import ordered_map

log = logging.getLogger(__name__)

# A group is what a worker process gets at once. A killed run loses the groups that it was working
# on: a second's work.
GROUP_PHOTOS = 64
GROUP_BYTES = 16 << 20  # of files


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
    networks(settings.det_model)  # missing weights are reported once, before any worker starts
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


def _groups(jobs: Sequence[Job], workers: int) -> Iterator[list[Job]]:
    """The jobs in groups of at most `GROUP_PHOTOS`, and of about `GROUP_BYTES` of files.

    With fewer photos the groups are smaller, so that all workers have something to do.
    """
    most = min(GROUP_PHOTOS, -(-len(jobs) // (4 * workers)))
    group: list[Job] = []
    size = 0
    for job in jobs:
        if group and (len(group) == most or size + job.size > GROUP_BYTES):
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
    groups = list(_groups(jobs, workers))
    work = functools.partial(align_group, settings=settings)
    workers = min(workers, len(groups)) or 1
    for outcomes in ordered_map(work, groups, workers, "aligning", count=len, name=_photos_of):
        yield from outcomes


def _photos_of(group: Sequence[Job]) -> str:
    return listed(job.photo for job in group)
