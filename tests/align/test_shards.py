"""Parts of a set, aligned apart and put together, and clusters: the bytes of a single run."""

import argparse
import csv
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from src.align import align_megaface, align_set, alignment, merge_shards, stages
from src.common import cluster, parallel
from src.common.errors import InputError
from src.common.shards import Shard


@pytest.fixture(scope="module")
def photos(tmp_path_factory, portrait):
    """Eleven photos of four people; two without a face, one that cannot be read."""
    root = tmp_path_factory.mktemp("source") / "set"
    face = portrait[:300, 80:380]
    for number in range(11):
        path = root / f"p{number % 4}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.full_like(face, 80) if number in (3, 7) else np.roll(face, number, axis=1)
        cv2.imwrite(str(path), image[..., ::-1])
    (root / "p1" / "9.jpg").write_bytes(b"")
    return root


def run(photos, output, *more):
    flags = ["--input-dir", str(photos), "--name", "lfw", "--output-dir", str(output)]
    align_megaface.main([*flags, "--num-workers", "1", *more])


def contents(output):
    """Relative path → bytes of all files but the record of the source."""
    paths = [path for path in output.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(output)): path.read_bytes().replace(bytes(output), b"OUT")
        for path in paths
        if path.name != ".sources.json"
    }


@pytest.fixture(scope="module")
def alone(photos, tmp_path_factory):
    output = tmp_path_factory.mktemp("alone")
    run(photos, output, "--table", str(output / "table.csv"))
    return output


@pytest.fixture
def expected(alone):
    return {name: found for name, found in contents(alone).items() if name != "table.csv"}


@pytest.mark.parametrize("count", [2, 3, 20])
def test_parts_together_are_what_one_run_writes(photos, tmp_path, count, expected, capsys):
    output = tmp_path / "out"
    for index in range(count):
        run(photos, output, "--shard", f"{index}/{count}")  # of 20, some have no photo
    assert not (output / "lst").exists()
    merge_shards.main([str(output)])
    assert contents(output) == expected
    assert "lst: 8 photos" in capsys.readouterr().out
    with pytest.raises(InputError, match="no lists of parts"):
        merge_shards.main([str(output)])
    run(photos, output)  # continues the merged journal
    assert contents(output)["lst"] == expected["lst"]


def test_parts_from_folders_of_their_own_can_be_copied_together(photos, tmp_path, expected):
    output = tmp_path / "out"
    run(photos, output, "--shard", "0/2")
    with pytest.raises(InputError, match=r"lst\.shard-1-of-2 is missing: run its part"):
        merge_shards.main([str(output)])
    run(photos, output, "--shard", "1/2")
    run(photos, output, "--shard", "0/3")
    with pytest.raises(InputError, match="lst is in parts of 2 and of 3"):
        merge_shards.main([str(output)])
    for path in output.glob("lst.shard-0-of-3*"):
        path.unlink()
    merge_shards.main(argparse.Namespace(output_dir=str(output)))
    assert contents(output) == expected


def test_parts_do_not_lock_each_other_but_themselves(photos, tmp_path, monkeypatch):
    output = tmp_path / "out"
    align = alignment.align_group

    def align_during_another_part(jobs, **arguments):
        monkeypatch.setattr(alignment, "align_group", align)
        run(photos, output, "--shard", "1/2")
        with pytest.raises(InputError, match="is being written by another run"):
            run(photos, output, "--shard", "0/2")
        return align(jobs, **arguments)

    monkeypatch.setattr(alignment, "align_group", align_during_another_part)
    run(photos, output, "--shard", "0/2")
    merge_shards.main([str(output)])


@pytest.mark.parametrize("text", ["1", "1/1", "2/2", "-1/2", "a/b", "0/0", "1/2/3", ""])
def test_wrong_shards(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected I/N"):
        Shard.parse(text)


def test_places_cover_everything_once():
    for total in (0, 1, 10, 11):
        for count in (1, 3, 12):
            parts = [Shard(index, count).places(total) for index in range(count)]
            assert [place for part in parts for place in part] == list(range(total))


def test_the_table_has_a_row_for_each_photo(alone, photos):
    with open(alone / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["photo"] for row in rows] == sorted(map(str, photos.rglob("*.jpg")))
    reasons = {row["photo"].split("/")[-1]: row["reason"] for row in rows if row["reason"]}
    assert set(reasons) == {"3.jpg", "7.jpg", "9.jpg"}
    assert reasons["9.jpg"] == "the file is empty"
    for row in rows:
        if row["reason"]:
            assert row["face"] == row["method"] == row["score"] == row["x1"] == ""
            continue
        assert os.path.exists(row["face"])
        assert row["method"] == "face found again around its landmarks"
        assert 0.9 < float(row["score"]) <= 1
        assert float(row["x1"]) < float(row["x_nose"]) < float(row["x2"])
        assert float(row["y_left_eye"]) < float(row["y_nose"]) < float(row["y_left_mouth"])


def test_the_report_shows_methods_scores_and_skipped_photos(photos, tmp_path, alone):
    output = tmp_path / "out"
    run(photos, output, "--report", str(tmp_path / "report.html"), "--keep-undetected")
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 10 + 8  # of both methods; with a score
    for text in (
        "Face found again around its landmarks: 8",
        "Centre cropped: 2",
        "Skipped: 1",
        "p1/9.jpg<br>the file is empty",
        "cannot be shown",
        "Lowest scores of the detector",
    ):
        assert text in page
    # A finished run shows the same, from its journal.
    run(photos, output, "--report", str(tmp_path / "again.html"), "--keep-undetected")
    assert (tmp_path / "again.html").read_text() == page


def test_each_worker_takes_one_of_the_devices(monkeypatch):
    made = []
    monkeypatch.setattr(stages.MtcnnDetector, "create", lambda _, context: made.append(context))
    stages.networks.cache_clear()
    for name in ("MainProcess", "LokyProcess-1", "LokyProcess-2", "LokyProcess-5"):
        process = argparse.Namespace(name=name)
        monkeypatch.setattr(stages.multiprocessing, "current_process", lambda p=process: p)
        stages.networks(None, "cpu:0,cpu:1,cpu:2")
        stages.networks.cache_clear()
    assert [context.device_id for context in made] == [0, 0, 1, 1]


def test_devices_are_checked_before_the_work(photos, tmp_path):
    with pytest.raises(InputError, match="--devices gpu:0: "):
        run(photos, tmp_path / "out", "--devices", "gpu:0")
    run(photos, tmp_path / "out", "--devices", "cpu:1")
    assert (tmp_path / "out" / "lst").exists()


# ---------------------------------------------------------------------------------- clusters


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--scheduler", "a:1"], "--scheduler a:1 needs --backend dask"),
        (["--backend", "dask"], "--backend dask needs --scheduler HOST:PORT"),
    ],
)
def test_wrong_cluster_flags(photos, tmp_path, flags, message):
    with pytest.raises(InputError, match=message):
        run(photos, tmp_path / "out", *flags)


class FakeBackend:
    """Returns results only when all are there."""

    supports_return_generator = False


def test_a_backend_that_cannot_stream_gets_blocks(monkeypatch):
    active = parallel.joblib.parallel.get_active_backend
    monkeypatch.setattr(
        parallel.joblib.parallel, "get_active_backend", lambda: (FakeBackend(), None)
    )
    calls = []

    class Parallel:
        def __init__(self, n_jobs):
            assert n_jobs == -1

        def __call__(self, tasks):
            calls.append(0)
            for function, arguments, _ in tasks:
                calls[-1] += 1
                yield function(*arguments)

    monkeypatch.setattr(parallel.joblib, "Parallel", Parallel)
    monkeypatch.setattr(parallel.joblib, "effective_n_jobs", lambda _: 2)
    assert list(parallel.ordered_map(abs, range(-19, 0), 1, "test")) == [*range(19, 0, -1)]
    assert calls == [8, 8, 3]
    assert active() is not None


def dask_process(*arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
    )  # fmt: skip


@pytest.fixture
def dask(tmp_path, free_port):
    """(address, worker processes) of a cluster of two workers on this machine."""
    pytest.importorskip("distributed")
    address = f"127.0.0.1:{free_port}"
    scheduler = dask_process(
        "dask_scheduler", "--host", "127.0.0.1", "--port", str(free_port), "--no-dashboard"
    )
    flags = ["--nthreads", "1", "--no-dashboard", "--no-nanny", "--local-directory", str(tmp_path)]
    workers = [dask_process("dask_worker", f"tcp://{address}", *flags) for _ in range(2)]
    try:
        yield address, workers
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


def wait_for_workers(address, count):
    import distributed

    with distributed.Client(address, timeout=30) as client:
        client.wait_for_workers(count, timeout=60)


def test_a_dask_cluster_writes_the_same_although_a_worker_is_killed(
    photos, tmp_path, dask, expected, monkeypatch
):
    address, workers = dask
    wait_for_workers(address, 2)
    monkeypatch.setattr(alignment, "GROUP_PHOTOS", 1)
    flags = ["--backend", "dask", "--scheduler", address]
    report = align_set._print_progress

    def kill_one(number, counters):
        if number == 4:
            workers[0].send_signal(signal.SIGKILL)
        report(number, counters)

    monkeypatch.setattr(align_set, "_print_progress", kill_one)
    run(photos, tmp_path / "out", *flags)
    assert workers[0].wait(timeout=10) == -signal.SIGKILL
    assert contents(tmp_path / "out") == expected
    # With the single worker that is left.
    run(photos, tmp_path / "again", *flags)
    assert contents(tmp_path / "again") == expected


def test_a_scheduler_that_does_not_answer_is_named(photos, tmp_path, free_port, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    started = time.monotonic()
    with pytest.raises(InputError, match=f"--scheduler 127.0.0.1:{free_port}: no Dask scheduler"):
        run(photos, tmp_path, "--backend", "dask", "--scheduler", f"127.0.0.1:{free_port}")
    assert time.monotonic() - started < 30
