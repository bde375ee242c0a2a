"""The worker processes of one run, on one or several machines, and what they exchange.

All of them run the same program, each on its own part of every batch, and call the methods of
`Workers` in the same order: every method waits for the others.
"""

import contextlib
import ctypes
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from src.common.errors import INTERRUPTED, WRONG_INPUT, InputError
from src.common.launcher_link import follow_launcher
from src.common.mxnet_backend import ROLE, mx

Value = TypeVar("Value")

ADDRESS = "DMLC_PS_ROOT_URI"
WORKER_NUMBER = "DMLC_TASK_ID"  # as of the launchers of dmlc-core; without it MXNet numbers them
TIMED_OUT = 5  # exit status
TEXT_BLOCK = 4096  # lengths of texts are rounded up, so that few buffers are needed


class Workers:
    """The only process of a run: the methods return at once.

    Attributes
    ----------
    rank, count
        Number of this worker, from 0, and of all workers.
    is_distributed
        Whether there can be other workers.
    """

    rank = 0
    count = 1
    is_distributed = False

    @property
    def is_first(self) -> bool:
        """Whether this is the worker that prints, verifies and saves."""
        return self.rank == 0

    def add_up(self, name: str, array: mx.nd.NDArray) -> None:
        """Replaces a float32 array by the sum over all workers.

        Parameters
        ----------
        name
            Of a buffer on the servers; equal names and shapes share it.
        """

    def add_up_ahead(self, named: Mapping[str, Sequence[mx.nd.NDArray]]) -> None:
        """Replaces arrays, one per device, by the sum over all devices of all workers.

        Returns at once; MXNet computes with an array when it is there. Therefore the same arrays
        have to be given in each call, or the order of two sums of one name is not certain.
        """

    def gathered(self, values: np.ndarray | Sequence[Any]) -> np.ndarray:
        """The values of all workers, float64 (workers, …), exactly; for few numbers."""
        return np.asarray(values, np.float64)[None]

    def total(self, values: np.ndarray | Sequence[Any]) -> np.ndarray:
        """The sum of all workers' values, the same bits on each."""
        return self.gathered(values).sum(axis=0)

    def any(self, flag: bool) -> bool:
        """Whether the flag is true on any worker."""
        return flag

    def gathered_rows(self, name: str, rows: mx.nd.NDArray) -> mx.nd.NDArray:
        """The rows (N, D) of all workers, (workers·N, D), in the order of their ranks."""
        return rows

    def from_first(self, make: Callable[[], Value]) -> Value:
        """What a function returns on the first worker, where alone it is called; JSON's types.

        If it raises an InputError there, the other workers end silently.
        """
        return make()

    def copy_first(self, name: str, array: mx.nd.NDArray) -> None:
        """Replaces a float32 array by that of the first worker."""

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """The block of the run. If it fails, this worker ends without waiting for the others."""
        yield


class StoreWorkers(Workers):
    """Workers that exchange through MXNet's parameter server, see `recipes/launch.sh`.

    The servers only add. What they keep of a name is overwritten by the next sum.

    Parameters
    ----------
    seconds
        If an exchange takes longer, this process ends, with a message: another one hangs. Workers
        also wait while the first one verifies.
    """

    is_distributed = True

    def __init__(self, seconds: float) -> None:
        follow_launcher()
        self._store = mx.kv.create("dist_sync")
        self.count = self._store.num_workers
        self.rank = int(os.environ.get(WORKER_NUMBER, self._store.rank))
        self._buffers: set[str] = set()
        self._waiting_since: float | None = None
        threading.Thread(target=self._watch, args=(seconds,), daemon=True).start()

    def _watch(self, seconds: float) -> None:
        while True:
            time.sleep(1)
            since = self._waiting_since
            if since is not None and time.monotonic() - since > seconds:
                print(
                    f"error: worker {self.rank} has waited {seconds:.0f} s for the other processes "
                    "(--worker-timeout): one of them hangs or has ended; run the same command "
                    "with --resume",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(TIMED_OUT)  # the main thread is waiting in MXNet

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        self._waiting_since = time.monotonic()
        try:
            yield
        finally:
            self._waiting_since = None

    def _ready(self, name: str, shape: tuple[int, ...]) -> str:
        """The key of a buffer, which exists on the servers afterwards."""
        key = f"{name} {shape}"
        if key not in self._buffers:
            self._buffers.add(key)
            with self._waiting():
                self._store.init(key, mx.nd.zeros(shape))
        return key

    def _add_up(self, name: str, arrays: list[mx.nd.NDArray], priority: int) -> None:
        key = self._ready(name, arrays[0].shape)
        self._store.push(key, arrays, priority=priority)
        self._store.pull(key, out=arrays, priority=priority)

    def add_up(self, name: str, array: mx.nd.NDArray) -> None:
        self._add_up(name, [array], 1)
        with self._waiting():
            # A later push of another array could overtake the pull of this one.
            array.wait_to_read()

    def add_up_ahead(self, named: Mapping[str, Sequence[mx.nd.NDArray]]) -> None:
        for place, (name, arrays) in enumerate(named.items()):
            self._add_up(name, list(arrays), -place)  # the first layers are needed first

    def _summed(self, name: str, values: np.ndarray) -> np.ndarray:
        array = mx.nd.array(values, dtype=np.float32)
        self.add_up(name, array)
        return array.asnumpy()

    def gathered(self, values: np.ndarray | Sequence[Any]) -> np.ndarray:
        values = np.ascontiguousarray(values, np.float64)
        # The servers add in float32, even float64: each part of 16 bits is a number of its own.
        table = np.zeros((self.count, values.size * 4), np.float32)
        table[self.rank] = values.reshape(-1).view(np.uint16)
        bits = self._summed("gathered", table).astype(np.uint16)
        return bits.view(np.float64).reshape(self.count, *values.shape)

    def any(self, flag: bool) -> bool:
        return bool(self.total([flag])[0] > 0)

    def gathered_rows(self, name: str, rows: mx.nd.NDArray) -> mx.nd.NDArray:
        count = len(rows)
        everyone = mx.nd.zeros((self.count * count, *rows.shape[1:]), rows.context)
        everyone[self.rank * count : (self.rank + 1) * count] = rows
        self.add_up(name, everyone)
        return everyone

    def from_first(self, make: Callable[[], Value]) -> Value:
        text = b""
        error: Exception | None = None
        if self.is_first:
            try:
                text = json.dumps({"value": make()}).encode()
            except InputError as reason:
                error = reason
                text = b"{}"
        blocks = int(self.total([-(-len(text) // TEXT_BLOCK)])[0])
        padded = np.zeros(blocks * TEXT_BLOCK, np.uint8)
        padded[: len(text)] = np.frombuffer(text, np.uint8)
        sent = self._summed("text", padded).astype(np.uint8).tobytes().rstrip(b"\0")
        if error is not None:
            raise error
        told = json.loads(sent)
        if "value" not in told:
            raise SystemExit(WRONG_INPUT)
        return told["value"]

    def copy_first(self, name: str, array: mx.nd.NDArray) -> None:
        if not self.is_first:
            array[:] = 0
        self.add_up(name, array)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if not (isinstance(error, SystemExit) and error.code == INTERRUPTED):
                # Otherwise MXNet waits for all workers when it is unloaded.
                mx.base._LIB.MXKVStoreSetBarrierBeforeExit(self._store.handle, ctypes.c_int(0))
            raise  # a stop is one that all workers have agreed on
        finally:
            del self._store  # now, while MXNet's threads still run


def distributed_count() -> int:
    """Number of workers of the distributed run that this process was started for; else 0."""
    is_worker = ADDRESS in os.environ and os.environ.get(ROLE) == "worker"
    return int(os.environ.get("DMLC_NUM_WORKER", "0")) if is_worker else 0


def join_workers(kvstore: str, seconds: float) -> Workers:
    """The workers of this run, given `--kvstore`; waits until all are there.

    Raises
    ------
    InputError
        `--kvstore` does not suit the way in which this process was started.
    """
    count = distributed_count()
    if not kvstore.startswith("dist"):
        if count > 1:
            raise InputError(
                f"this is one of {count} workers of a distributed run: add --kvstore dist_sync"
            )
        return Workers()
    if not count:
        raise InputError(
            f"--kvstore {kvstore}: start the command with recipes/launch.sh -n WORKERS -s SERVERS "
            "-- COMMAND, or leave the flag out for one machine"
        )
    if not mx.runtime.Features().is_enabled("DIST_KVSTORE"):
        raise InputError(f"--kvstore {kvstore}: this MXNet has no distributed key-value store")
    return StoreWorkers(seconds)
