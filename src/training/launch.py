"""Starts one training run on several machines, or as several processes on this one.

    python -m src.training.launch -n 2 -s 2 [-H hosts.txt] -- \\
        python -u -m src.train_softmax --kvstore dist_sync --data-dir faces --prefix model/y1

COMMAND is started once per worker; servers, which add up the gradients, and a scheduler are started
too. The machines of `-H` are reached with ssh, without a password, and have this folder, its Python
environment and the data under the same paths. The workers are numbered in the order of the
machines, and the first one prints, verifies and saves. If any process ends early, all others are
ended, with a line that names it, and --resume continues. Ctrl-C and SIGTERM stop the run after its
current step.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
import contextlib
import math
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import NamedTuple

from src.common.arguments import make_parser, positive_int, resolve_arguments
from src.common.errors import INTERRUPTED, InputError, run_command
from src.common.launcher_link import BY_INPUT, LINK, STOP
from src.common.text_files import read_lines

LOOPBACK = "127.0.0.1"
SERVE = "import src.common.mxnet_backend"  # servers and scheduler: serves, and exits
SSH = (
    *("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"),
    *("-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3"),
)
# Variables that processes on other machines get from here, by the beginning of their names.
PASSED_ON = ("PATH", "PYTHON", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "OMP_", "MXNET_", "PS_", "CUDA_")

SECONDS_TO_EXPLAIN = 5.0  # how long other processes may take to print errors of their own
SECONDS_TO_SAVE = 600.0  # how long the first worker may take to save the state after a stop
SECONDS_TO_END = 20.0  # how long servers and scheduler may live on after the workers
SECONDS_BETWEEN_LOOKS = 0.1
WORKER, SERVER, SCHEDULER = "worker", "server", "scheduler"


class Task(NamedTuple):
    """A process to start: its role, its number among those of that role, and its machine."""

    role: str
    number: int
    host: str

    def __str__(self) -> str:
        number = "" if self.role == SCHEDULER else f" {self.number}"
        return f"{self.role}{number} on {self.host}"


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("-n", "--workers", type=positive_int, required=True, help="number of workers")
    add("-s", "--servers", type=positive_int, default=None, help="number of servers; as workers")
    add("-H", "--hosts", metavar="FILE", help="file of machines, one per line; this one without")
    add("-p", "--port", type=positive_int, help="port of the scheduler; by default a free one")
    add("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="of each worker")
    args = parser.parse_args(argv)
    args.command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not args.command:
        parser.error("the command is missing: … -- python -m src.train_softmax …")
    args.servers = args.servers or args.workers
    return args


def read_hosts(path: str | None) -> list[str]:
    """The machines of a file, one per line; text after # is a comment."""
    if path is None:
        return [LOOPBACK]
    lines = (line.partition("#")[0].strip() for _, line in read_lines(path))
    hosts = [host for host in lines if host]
    for host in hosts:
        if host.startswith("-") or len(host.split()) > 1:
            raise InputError(f"{path}: {host!r} is not the name of a machine: one per line")
    if not hosts:
        raise InputError(f"{path}: no machine in it: write one per line")
    return hosts


def is_here(host: str) -> bool:
    """Whether a machine is this one, so that its processes are started directly."""
    return host in ("localhost", LOOPBACK, socket.gethostname())


def addresses_of(hosts: Sequence[str]) -> dict[str, str]:
    """The IP addresses of machines, given as `name` or `user@name`, under which they all are known.

    Raises
    ------
    InputError
        A name is unknown, or has an address that the other machines cannot reach.
    """
    found = {}
    for host in hosts:
        try:
            found[host] = socket.gethostbyname(host.rpartition("@")[2])
        except OSError:
            raise InputError(f"{host}: there is no machine of that name") from None
    own = [host for host, address in found.items() if address.startswith("127.")]
    if 0 < len(own) < len(found):
        raise InputError(
            f"{own[0]}: its address is {found[own[0]]}, which the other machines cannot reach: "
            "write its address in the network instead"
        )
    return found


def free_port(host: str) -> int:
    """A port for the scheduler, certainly free if it runs here."""
    if not is_here(host):
        return random.randrange(20000, 30000)
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        return int(found.getsockname()[1])


def plan(workers: int, servers: int, hosts: Sequence[str]) -> list[Task]:
    """All processes, divided among the machines, the scheduler on the first.

    Of more machines than workers, the last are not used.
    """
    hosts = hosts[:workers]
    place = [number * len(hosts) // workers for number in range(workers)]
    return [
        Task(SCHEDULER, 0, hosts[0]),
        *(Task(SERVER, number, hosts[number % len(hosts)]) for number in range(servers)),
        *(Task(WORKER, number, hosts[place[number]]) for number in range(workers)),
    ]


def environments(tasks: Sequence[Task], port: int | None) -> Iterator[dict[str, str]]:
    """What the environment of each process has in addition to this one's."""
    roles = [task.role for task in tasks]
    here = sum(is_here(task.host) and task.role == WORKER for task in tasks)
    threads = max((os.cpu_count() or 1) // max(here, 1), 1)
    addresses = addresses_of([task.host for task in tasks])
    port = port or free_port(tasks[0].host)
    for task in tasks:
        own = {
            "DMLC_ROLE": task.role,
            "DMLC_TASK_ID": str(task.number),
            "DMLC_PS_ROOT_URI": addresses[tasks[0].host],
            "DMLC_PS_ROOT_PORT": str(port),
            "DMLC_NUM_WORKER": str(roles.count(WORKER)),
            "DMLC_NUM_SERVER": str(roles.count(SERVER)),
            "DMLC_NODE_HOST": addresses[task.host],
            LINK: BY_INPUT,
        }
        # Threads that wait for work in a busy loop slow down the other processes of a machine.
        if "OMP_WAIT_POLICY" not in os.environ:
            own["OMP_WAIT_POLICY"] = "passive"
        if task.role != WORKER:
            own["OMP_NUM_THREADS"] = "1"
        elif is_here(task.host) and "OMP_NUM_THREADS" not in os.environ:
            own["OMP_NUM_THREADS"] = str(threads)
        yield own


def start(task: Task, own: dict[str, str], command: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Starts a process, with an open input and in a group of its own."""
    if task.role != WORKER:
        command = [sys.executable, "-c", SERVE]
    environment = {**os.environ, **own}
    if not is_here(task.host):
        passed = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
        settings = [f"{name}={value}" for name, value in {**passed, **own}.items()]
        there = shlex.join(["env", *settings, *command])
        command = [*SSH, task.host, f"cd {shlex.quote(os.getcwd())} && exec {there}"]
    try:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, start_new_session=True
        )
    except OSError as error:
        raise InputError(f"{command[0]} cannot be started: {error.strerror}") from None


class Job:
    """The running processes of a run."""

    def __init__(self) -> None:
        self._running: dict[Task, subprocess.Popen[bytes]] = {}
        self._stopping = False

    def start(self, task: Task, own: dict[str, str], command: Sequence[str]) -> None:
        """Starts a process."""
        self._running[task] = start(task, own, command)

    def ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        """Asks the workers to stop after their current step; the second time ends them at once."""
        if self._stopping:
            self.kill()
        self._stopping = True
        for task, process in self._running.items():
            if task.role == WORKER and process.stdin is not None:
                with contextlib.suppress(OSError):  # it may have just ended
                    process.stdin.write(STOP)
                    process.stdin.flush()

    def kill(self) -> None:
        """Ends all processes; those on other machines see the end of their input."""
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _ended(self) -> list[tuple[Task, int]]:
        """Processes that have ended since the last call, and their exit statuses."""
        ended = [
            (task, status)
            for task, process in self._running.items()
            if (status := process.poll()) is not None
        ]
        for task, _ in ended:
            process = self._running.pop(task)
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
        return ended

    def wait(self) -> int:
        """Waits for the end of the run; returns its exit status."""
        result, limit = 0, math.inf
        while self._running:
            for task, status in self._ended():
                if status == 0:
                    # A worker that goes on without its servers would wait forever.
                    if task.role != WORKER or not self._workers_left():
                        limit = min(limit, time.monotonic() + SECONDS_TO_END)
                elif result == 0:
                    result = status if status > 0 else 1
                    asked = self._stopping or (task.role, status) == (WORKER, INTERRUPTED)
                    limit = time.monotonic() + (SECONDS_TO_SAVE if asked else SECONDS_TO_EXPLAIN)
                    if not asked:
                        _say(f"{task} {_how(status)}: the other processes are ended")
            if time.monotonic() > limit:
                if result == 0 and self._workers_left():
                    result = 1
                    _say("servers ended before the workers, which are ended, too")
                break
            time.sleep(SECONDS_BETWEEN_LOOKS)
        self.end()
        return result

    def end(self) -> None:
        """Ends all processes that still run."""
        self.kill()
        for process in self._running.values():
            process.wait()
        self._ended()

    def _workers_left(self) -> bool:
        return any(task.role == WORKER for task in self._running)


def _how(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def _say(text: str) -> None:
    print(f"launch: {text}", file=sys.stderr, flush=True)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> int:
    """Runs the command; returns the exit status of the first process that failed, else 0."""
    args = resolve_arguments(parse_args, args)
    tasks = plan(args.workers, args.servers, read_hosts(args.hosts))
    owns = list(environments(tasks, args.port))
    job = Job()
    former = {n: signal.signal(n, job.ask_to_stop) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        for task, own in zip(tasks, owns, strict=True):
            job.start(task, own, args.command)
        return job.wait()
    finally:
        job.end()
        for number, handler in former.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    run_command(main)
