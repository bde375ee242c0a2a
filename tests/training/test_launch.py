"""The launcher of several workers: its flags, its plan, and the environment of the processes."""

import os
import re
import socket
import sys

import pytest

from src.common.errors import InputError
from src.training import launch


def test_the_command_may_have_flags_of_its_own():
    args = launch.parse_args(["-n", "2", "--", "python", "-n", "5", "--", "x"])
    assert (args.workers, args.servers, args.command) == (2, 2, ["python", "-n", "5", "--", "x"])
    assert launch.parse_args(["-n", "2", "-s", "1", "python"]).servers == 1


@pytest.mark.parametrize(
    "arguments", [["-n", "2"], ["-n", "2", "--"], ["--", "x"], ["-n", "0", "x"]]
)
def test_wrong_flags(arguments, capsys):
    with pytest.raises(SystemExit) as ending:
        launch.parse_args(arguments)
    assert ending.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("workers", "hosts", "places"),
    [
        (1, "ab", "a"),
        (2, "a", "aa"),
        (2, "ab", "ab"),
        (2, "abc", "ab"),
        (4, "ab", "aabb"),
        (5, "ab", "aaabb"),
    ],
)
def test_workers_are_numbered_in_the_order_of_the_machines(workers, hosts, places):
    tasks = launch.plan(workers, 3, list(hosts))
    assert [task.host for task in tasks if task.role == "worker"] == list(places)
    assert [task.number for task in tasks if task.role == "worker"] == list(range(workers))
    assert [task.role for task in tasks].count("server") == 3
    assert [task.host for task in tasks if task.role == "scheduler"] == ["a"]
    assert {task.host for task in tasks} <= set(places)


def test_hosts(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("alpha\n\n  me@beta # the second\n#gamma\n")
    assert launch.read_hosts(str(path)) == ["alpha", "me@beta"]
    assert launch.read_hosts(None) == [launch.LOOPBACK]
    assert str(launch.Task("worker", 1, "beta")) == "worker 1 on beta"
    assert str(launch.Task("scheduler", 0, "beta")) == "scheduler on beta"


@pytest.mark.parametrize("text", ["", "# none\n", "-oProxyCommand=x\n", "alpha beta\n"])
def test_wrong_hosts(tmp_path, text):
    path = tmp_path / "hosts"
    path.write_text(text)
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: "):
        launch.read_hosts(str(path))


def test_machines_that_the_others_cannot_reach(monkeypatch):
    known = {"alpha": "10.0.0.1", "beta": "127.0.1.1"}

    def find(name):
        if name not in known:
            raise socket.gaierror(-2, "Name or service not known")
        return known[name]

    monkeypatch.setattr(socket, "gethostbyname", find)
    assert launch.addresses_of(["me@alpha"]) == {"me@alpha": "10.0.0.1"}
    assert launch.addresses_of(["beta"]) == {"beta": "127.0.1.1"}
    with pytest.raises(InputError, match=r"^beta: its address is 127\.0\.1\.1, which the other"):
        launch.addresses_of(["alpha", "beta"])
    with pytest.raises(InputError, match=r"^gamma: there is no machine of that name"):
        launch.addresses_of(["gamma"])


def test_every_process_knows_the_scheduler_and_its_own_number(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    tasks = launch.plan(2, 1, launch.read_hosts(None))
    every = list(launch.environments(tasks, 9090))
    assert [(e["DMLC_ROLE"], e["DMLC_TASK_ID"], e["OMP_NUM_THREADS"]) for e in every] == [
        ("scheduler", "0", "1"),
        ("server", "0", "1"),
        ("worker", "0", "4"),
        ("worker", "1", "4"),
    ]
    common = {"DMLC_PS_ROOT_URI": "127.0.0.1", "DMLC_PS_ROOT_PORT": "9090"}
    common |= {"DMLC_NUM_WORKER": "2", "DMLC_NUM_SERVER": "1"}
    assert all(common.items() <= each.items() for each in every)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")  # of a user
    every = list(launch.environments(tasks, None))
    assert "OMP_NUM_THREADS" not in every[-1]
    assert 1024 < int(every[0]["DMLC_PS_ROOT_PORT"]) < 65536


def test_a_command_that_does_not_exist():
    with pytest.raises(InputError, match=r"^no-such-program cannot be started: No such file"):
        launch.main(["-n", "1", "--", "no-such-program"])


@pytest.mark.parametrize(
    ("code", "status", "line"),
    [
        ("raise SystemExit(7)", 7, "launch: worker 0 on 127.0.0.1 ended with status 7"),
        ("import os; os.abort()", 1, "launch: worker 0 on 127.0.0.1 was killed by SIGABRT"),
    ],
)
def test_a_worker_that_fails_before_it_joins(code, status, line, capfd, monkeypatch):
    monkeypatch.setattr(launch, "SECONDS_TO_EXPLAIN", 0.5)
    assert launch.main(["-n", "1", "--", sys.executable, "-c", code]) == status
    assert line in capfd.readouterr().err


def test_servers_that_wait_for_workers_which_never_joined_are_ended(monkeypatch):
    monkeypatch.setattr(launch, "SECONDS_TO_END", 0.5)
    assert launch.main(["-n", "1", "--", sys.executable, "-c", "pass"]) == 0


def test_hosts_in_another_encoding(tmp_path):
    path = tmp_path / "hosts"
    path.write_bytes("älpha\n".encode("latin-1"))
    with pytest.raises(InputError, match="line 1: byte 0xe4 is not UTF-8 text"):
        launch.read_hosts(str(path))
    path.write_bytes(b"\xef\xbb\xbfalpha\r\nbeta\r\n")
    assert launch.read_hosts(str(path)) == ["alpha", "beta"]
