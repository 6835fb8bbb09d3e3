"""A small pool of grading workers: symbolic comparisons with a hard time limit, from any thread or child process.

A worker is a plain subprocess speaking JSON lines (`symbolic`), not a `multiprocessing` one: it imports neither the
caller's `__main__` nor torch, and may be started inside a daemonic process. Its limit counts CPU seconds, so that a
busy machine does not turn right answers into wrong ones; a wall limit of forty times that backs it up.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from enum import StrEnum
from pathlib import Path

from latent_core.errors import InfrastructureError
from latent_core.scoring import symbolic

TIME_LIMIT = 1.5  # CPU seconds a comparison (MATH answers need at most 0.4): with its overhead under 2 s of wall time
WALL_FACTOR = 40.0  # wall seconds per CPU second before a sleeping worker is killed; a starved one has needed ten
START_LIMIT = 120.0  # wall seconds for a worker to import sympy, which a busy disk can stretch
MAX_WORKERS = 4
_WORKER_CODE = "from latent_core.scoring.symbolic import main; main()"
ATTEMPTS = 2  # a worker may die of what it computed before; on a fresh one a crash is the comparison's own


class Comparison(StrEnum):
    """How a symbolic comparison ended."""

    EQUAL = "equal"
    DIFFERENT = "different"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"


class _Worker:
    """One worker process; `compare` may be called by one thread at a time and not after it timed out or crashed."""

    def __init__(self, time_limit: float) -> None:
        root = str(Path(__file__).parents[2])
        inherited = os.environ.get("PYTHONPATH")
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([root, inherited] if inherited else [root]),
            "PYTHONHASHSEED": "0",  # sympy's order of terms, and with it some verdicts, follows the hash seed
        }
        self._time_limit = time_limit
        self._ready = False
        self._unread = b""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _WORKER_CODE, repr(time_limit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the caller; the worker ends when its input does
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def compare(self, gold: str, answer: str) -> Comparison:
        self._wait_until_ready()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps([gold, answer]).encode() + b"\n")
            reply = self._read_line(self._time_limit * WALL_FACTOR)
        except BrokenPipeError:
            return Comparison.CRASHED
        except TimeoutError:
            return Comparison.TIMED_OUT
        if reply is None:
            return Comparison.TIMED_OUT if self._process.wait() == -signal.SIGPROF else Comparison.CRASHED
        return Comparison(reply.decode().strip())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _wait_until_ready(self) -> None:
        if self._ready:
            return
        try:
            line = self._read_line(START_LIMIT)
        except TimeoutError as error:
            raise InfrastructureError(f"A grading worker did not start within {START_LIMIT:g} s; retry.") from error
        if line != symbolic.READY:
            status = self._process.wait()
            raise InfrastructureError(
                f"A grading worker ended with status {status} before it was ready (its error is on standard error); "
                "check that math-verify is installed."
            )
        self._ready = True

    def _read_line(self, seconds: float) -> bytes | None:
        """The next line, or None when the worker's output ended; raises TimeoutError after `seconds` of wall time."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        waiting = select.poll()  # unlike `select`, takes descriptors above 1023
        waiting.register(descriptor, select.POLLIN | select.POLLHUP)
        deadline = time.monotonic() + seconds
        while b"\n" not in self._unread:
            left = deadline - time.monotonic()
            if left <= 0 or not waiting.poll(left * 1000):
                raise TimeoutError
            chunk = os.read(descriptor, 4096)
            if not chunk:
                return None
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line + b"\n"


class WorkerPool:
    """Up to `size` workers, started when first needed, replaced when one times out or crashes.

    Args:
        size: most workers at once; a caller that finds all busy waits for one.
        time_limit: CPU seconds for one comparison.
    """

    def __init__(self, *, size: int, time_limit: float = TIME_LIMIT) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, not {size}.")
        if not time_limit > 0:
            raise ValueError(f"time_limit must be positive seconds, not {time_limit}.")
        self.size = size
        self._time_limit = time_limit
        # Last in, first out: a caller that grades one at a time keeps one worker and starts no second.
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(size):
            self._idle.put(None)

    def compare(self, gold: str, answer: str) -> Comparison:
        """Compare two cleaned answers. Raises InfrastructureError if no worker can be started."""
        worker = self._idle.get()
        try:
            for _ in range(ATTEMPTS):
                worker = worker or _Worker(self._time_limit)
                comparison = worker.compare(gold, answer)
                if comparison in (Comparison.EQUAL, Comparison.DIFFERENT):
                    return comparison
                worker.close()
                worker = None
                if comparison is Comparison.TIMED_OUT:
                    worker = _Worker(self._time_limit)  # imports while the caller goes on
                    return comparison
            return Comparison.CRASHED
        except BaseException:  # not swallowed: a worker in an unknown state must not serve the next caller
            if worker is not None:
                worker.close()
                worker = None
            raise
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """End all idle workers. The pool starts new ones if it is used again."""
        idle = []
        while not self._idle.empty():  # a worker that still computes keeps its place and ends with this process
            idle.append(self._idle.get())
        for worker in idle:
            if worker is not None:
                worker.close()
            self._idle.put(None)


_lock = threading.Lock()
_shared: list[WorkerPool] = []
_inherited: list[WorkerPool] = []  # after a fork: the parent's workers, never used here, kept from being reaped


def shared_pool() -> WorkerPool:
    """The process's own pool, made on first use; a forked child gets a new one."""
    with _lock:
        if not _shared:
            pool = WorkerPool(size=min(MAX_WORKERS, os.cpu_count() or 1))
            atexit.register(pool.close)
            _shared.append(pool)
        return _shared[0]


def _forget_parents_workers() -> None:
    global _lock
    _lock = threading.Lock()
    for pool in _shared:
        atexit.unregister(pool.close)
    _inherited.extend(_shared)
    _shared.clear()


os.register_at_fork(after_in_child=_forget_parents_workers)
