"""Work in processes of which some die, and results that keep their order."""

import functools
import os
import signal
import time

import pytest

from src.common.errors import WorkerKilled
from src.common.parallel import ordered_map


def square(number):
    return number * number


def square_unless(number, fatal, marker, once, how="kill"):
    """The square; at one number the process kills itself, the first time or each time."""
    if number == fatal and not (once and marker.exists()):
        marker.touch()
        if how == "memory":
            raise MemoryError
        os.kill(os.getpid(), signal.SIGKILL)
    with open(f"{marker}.calls", "a") as file:
        file.write(f"{number} {os.getpid()}\n")
    time.sleep(0.002)
    return number * number


def test_results_keep_the_order():
    for threads in (False, True):
        results = ordered_map(square, range(50), 2, "test", threads=threads)
        assert list(results) == [n * n for n in range(50)]
    assert list(ordered_map(square, [], 1, "test")) == []


@pytest.mark.parametrize("how", ["kill", "memory"])
@pytest.mark.parametrize("fatal", [0, 20, 39])
def test_the_work_of_a_worker_that_dies_once_is_repeated(tmp_path, caplog, fatal, how):
    work = functools.partial(
        square_unless, fatal=fatal, marker=tmp_path / "died", once=True, how=how
    )
    assert list(ordered_map(work, range(40), 2, "test")) == [n * n for n in range(40)]
    assert (tmp_path / "died").exists()
    assert caplog.messages == [
        "a worker process was killed, perhaps because memory ran out; its work is repeated"
    ]


@pytest.mark.parametrize("how", ["kill", "memory"])
def test_an_item_at_which_workers_always_die_is_named(tmp_path, how):
    work = functools.partial(square_unless, fatal=20, marker=tmp_path / "died", once=False, how=how)
    results = ordered_map(work, range(40), 2, "test", name="photo {}.jpg".format)
    given = []
    with pytest.raises(WorkerKilled, match=r"photo 20\.jpg: .* killed here twice.* fewer workers"):
        for result in results:
            given.append(result)
    assert given == [n * n for n in range(20)]
    assert list(ordered_map(square, range(9), 2, "test")) == [n * n for n in range(9)]


def test_several_deaths_are_survived(tmp_path):
    """As when memory is short for a while."""
    work = functools.partial(die_at_tens, folder=tmp_path)
    assert list(ordered_map(work, range(60), 2, "test")) == [n * n for n in range(60)]
    assert len(list(tmp_path.iterdir())) == 6


def die_at_tens(number, folder):
    if number % 10 == 0 and not (folder / str(number)).exists():
        (folder / str(number)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_few_items_are_repeated(tmp_path):
    work = functools.partial(square_unless, fatal=20, marker=tmp_path / "died", once=True)
    list(ordered_map(work, range(400), 2, "test"))
    calls = (tmp_path / "died.calls").read_text().splitlines()
    assert len(calls) < 500  # how many were under way depends on the speed of the processes
    assert str(os.getpid()) not in {call.split()[1] for call in calls}


def test_workers_end_with_the_results_that_are_not_taken(tmp_path, recwarn):
    marker = tmp_path / "never"
    work = functools.partial(square_unless, fatal=-1, marker=marker, once=False)
    results = ordered_map(work, range(10000), 2, "test")
    next(results)
    results.close()
    before = (tmp_path / "never.calls").read_text()
    time.sleep(0.2)
    assert (tmp_path / "never.calls").read_text() == before
    assert not recwarn.list
