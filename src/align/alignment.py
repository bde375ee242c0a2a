"""Aligns the photos of a data set in worker processes; a stopped run can be resumed.

The list and all counts do not depend on the workers, nor on whether a run was resumed. Photos are
looked at one after the other, so memory does not grow with their number.
"""

import functools
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from src.align.journal import Journal, Outcome
from src.align.outputs import Outputs
from src.align.planning import Job, Plan, remove_stale
from src.align.settings import Settings
from src.align.stages import align_group
from src.align.styles import STYLES
from src.common.errors import listed
from src.common.parallel import ordered_map
from src.formats.photo_set import Item

log = logging.getLogger(__name__)

# A group is what a worker process gets at once. A killed run loses the groups that it was working
# on: a second's work.
GROUP_PHOTOS = 64
GROUP_BYTES = 16 << 20  # of files
LONGEST_GROUP = 1024  # photos, of which most are done already


class Entry(NamedTuple):
    """A photo: its job, and its outcome if that is known already."""

    item: Item
    job: Job | None
    outcome: Outcome | None


class Machines(NamedTuple):
    """What aligns: a number of worker processes, and devices as for `parse_devices`."""

    workers: int
    devices: str = "cpu"


def align_dataset(
    plan: Plan,
    settings: Settings,
    machines: Machines,
    report: Callable[[int, np.ndarray], None],
    outputs: Outputs,
) -> np.ndarray:
    """Aligns the photos of a plan and writes their list; see the module.

    Faces of earlier runs whose photos no longer exist are removed.

    Parameters
    ----------
    report
        Called with (number of earlier photos, counters) before each photo, and at the end.

    Returns
    -------
    counters
        int32 (N + 1,): photos aligned in each of the style's N ways, and skipped photos.
    """
    counters = np.zeros(len(STYLES[settings.style].ways) + 1, dtype=np.int32)
    journal = Journal(outputs.journal, settings._asdict(), Settings._field_defaults)
    with journal.open(), outputs.open():
        if STYLES[settings.style].writes_faces:
            remove_stale(plan, journal.aligned_except(plan.names))
        outcomes = _outcomes(plan, journal, settings, machines)
        for number, (item, job, outcome) in enumerate(outcomes):
            report(number, counters[:-1])
            counters[-1 if outcome.reason else outcome.way] += 1
            outputs.add(item, job, outcome)
    report(len(plan.places), counters[:-1])
    return counters


class _Finished(NamedTuple):
    item: Item
    job: Job | None
    outcome: Outcome


def _outcomes(
    plan: Plan, journal: Journal, settings: Settings, machines: Machines
) -> Iterator[_Finished]:
    """Yields all photos in order; a new outcome is added to the journal first."""
    pending: deque[Entry] = deque()  # in order; those without an outcome are being aligned
    lengths: deque[int] = deque()  # of the groups that were taken, with the photos that are done
    done, total = 0, len(plan.places)

    def groups() -> Iterator[list[Job]]:
        most = min(GROUP_PHOTOS, -(-total // (4 * machines.workers)))
        group: list[Job] = []
        size = looked_at = 0
        for entry in _entries(plan, journal):
            pending.append(entry)
            looked_at += 1
            if entry.job and not entry.outcome:
                group.append(entry.job)
                size += entry.job.size
            if len(group) == most or size > GROUP_BYTES or looked_at == LONGEST_GROUP:
                lengths.append(looked_at)
                yield group
                group, size, looked_at = [], 0, 0
        lengths.append(looked_at)
        yield group

    def finished(outcomes: Sequence[Outcome]) -> Iterator[_Finished]:
        nonlocal done
        fresh = deque(outcomes)
        while pending and (fresh or pending[0].outcome):
            item, job, outcome = pending.popleft()
            if outcome:
                done += job is not None
            else:
                assert job is not None  # a rejected photo has an outcome
                outcome = fresh.popleft()
                journal.add(job.key, outcome)
            yield _Finished(item, job, outcome)

    all_groups = groups()
    first: list[Job] = []
    for first in all_groups:
        if first:
            break
        lengths.popleft()
        yield from finished([])  # without worker processes
    if first:
        results = ordered_map(
            functools.partial(align_group, settings=settings, devices=machines.devices),
            itertools.chain([first], all_groups),
            min(machines.workers, total),
            "aligning",
            count=lambda group: lengths.popleft(),
            name=_photos_of,
            total=total,
        )
        for result in results:
            yield from finished(result)
    if done:
        log.warning("%d of %d photos were already done", done, total)


def _entries(plan: Plan, journal: Journal) -> Iterator[Entry]:
    """Yields each photo with what is known of it."""
    for index in plan.places:
        item = plan.item(index)
        if reason := plan.rejected.get(index):
            yield Entry(item, None, Outcome(None, reason))
            continue
        job = plan.job(item)
        yield Entry(item, job, journal.outcome(job.key, job.target))


def _photos_of(group: Sequence[Job]) -> str:
    return listed(job.photo for job in group)
