"""Worker processes: they keep a model warm from call to call, and contain crashes.

Each worker is a process pool of one, so that a death breaks nothing but the call it was computing; the next lease
starts a fresh process.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing import get_context, resource_tracker
from pathlib import Path
from typing import Any

from latent_core.config.runtime import RuntimeConfig
from latent_core.errors import InfrastructureError, InputError, StageFailed
from latent_core.processes import deaf_to, end_with, log_tail
from latent_core.store import ArtifactRef, ArtifactStore
from latent_core.store.lease import LeaseTerms
from tasks.stage import StageCall, Workplace
from tasks.workers.budget import Budget, within
from tasks.workers.deaths import cause_of_death, exit_code_of, out_of_memory_kills
from tasks.workers.devices import VARIABLE, devices_of, visible_devices
from tasks.workers.joined import perform_with
from tasks.workers.pool import ProgressSink, set_environment, workplace_for

_REAP_SECONDS = 30.0  # for the exit code of a dead process, which a starved machine is slow to reap


_outbox: Any = None  # the worker's end of the progress queue


class WorkerPool:
    """A `Pool` of processes of this machine."""

    def __init__(self, runtime: RuntimeConfig, store_root: str, sink: ProgressSink | None = None) -> None:
        self._runtime = runtime
        self._store_root = store_root
        self._context = get_context("spawn")
        with deaf_to(signal.SIGHUP):  # it ignores the other signals by itself, and complains when it is ended early
            resource_tracker.ensure_running()
        make_work_dir(Path(runtime.work_dir))
        self._inbox = self._context.Queue()
        self._free: queue.Queue[_Worker] = queue.Queue()
        devices = visible_devices()
        self._workers = [
            _Worker(
                number, runtime, self._context, self._inbox, devices_of(number, runtime.devices_per_worker, devices)
            )
            for number in range(runtime.workers)
        ]
        for worker in self._workers:
            self._free.put(worker)
        self._sink = sink
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def compute(
        self,
        call: StageCall,
        budget: Budget | None = None,
        terms: LeaseTerms | None = None,
        companions: Sequence[StageCall] = (),
    ) -> ArtifactRef:
        """Run a call on the next free process; see `Pool`."""
        with self._lease() as worker:
            root = self._store_root
            return within(budget, call.title, root, lambda: worker.run(call, root, terms, companions))

    @contextmanager
    def _lease(self) -> Iterator[_Worker]:
        worker = self._free.get()
        try:
            yield worker
        finally:
            self._free.put(worker)

    def _listen(self) -> None:
        while (item := self._inbox.get()) is not None:
            if self._sink is not None:
                self._sink(item)

    def close(self) -> None:
        """Stop all workers; a call in progress is ended with its process and commits nothing."""
        for worker in self._workers:
            worker.stop()
        self._inbox.put(None)
        self._listener.join()
        self._inbox.close()
        self._inbox.join_thread()


def make_work_dir(folder: Path) -> None:
    """Raises InputError, which names the field, where the folder cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"runtime.work_dir: {folder} cannot be made ({error}); choose another") from error


class _Worker:
    def __init__(self, number: int, runtime: RuntimeConfig, context: Any, inbox: Any, devices: str | None) -> None:
        self._number = number
        self._devices = devices
        self._runtime = runtime
        self._context = context
        self._inbox = inbox
        self._log = Path(runtime.work_dir).absolute() / "logs" / f"worker-{os.getpid()}-{number}.log"
        self._pool: ProcessPoolExecutor | None = None
        self._process: Any = None
        self._busy = False
        self._stopped = False
        self._lock = threading.Lock()  # between starting a call and stopping

    def run(
        self, call: StageCall, store_root: str, terms: LeaseTerms | None, companions: Sequence[StageCall]
    ) -> ArtifactRef:
        kills = out_of_memory_kills()
        self._busy = True
        try:  # around `submit` too: a worker may have died while it had nothing to do
            return self._submit(call, store_root, terms, companions).result()
        except BrokenProcessPool as error:
            if self._stopped:
                raise StageFailed(f"{call.title}: stopped with its run") from error
            self._pool = None
            raise InfrastructureError(
                f"{call.title}: the worker process {self._cause_of_death(kills)}. Last lines of {self._log}:\n"
                f"{log_tail(self._log)}"
            ) from error
        finally:
            self._busy = False

    def _cause_of_death(self, kills: int | None) -> str:
        if self._process is None:
            return "died"
        return cause_of_death(exit_code_of(self._process, _REAP_SECONDS), kills, out_of_memory_kills())

    def _submit(
        self, call: StageCall, store_root: str, terms: LeaseTerms | None, companions: Sequence[StageCall]
    ) -> Future[ArtifactRef]:
        with self._lock:
            if self._stopped:  # what still waited for a worker when the run ended
                raise StageFailed(f"{call.title}: not started, its run has ended")
            if self._pool is None:
                self._log.parent.mkdir(parents=True, exist_ok=True)
                settings = (self._inbox, self._runtime.threads_per_worker, str(self._log), os.getpid(), self._devices)
                self._pool = ProcessPoolExecutor(
                    1, mp_context=self._context, initializer=_start_worker, initargs=settings
                )
            answer = self._pool.submit(_compute, call, store_root, self._runtime.work_dir, terms, companions)
            (self._process,) = self._pool._processes.values()  # no public way leads to how its process ended
            return answer

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            pool = self._pool
        if pool is None:
            return
        if self._busy:  # the pool has no public way to end a call in progress
            for process in list((pool._processes or {}).values()):
                process.kill()
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(outbox: Any, threads: int, log: str, parent: int, devices: str | None) -> None:
    """First thing in a worker: its log, its threads, its GPUs, and to die with its parent."""
    global _outbox
    _outbox = outbox
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, sys.stdout.fileno())
    os.dup2(handle, sys.stderr.fileno())
    for number in (signal.SIGINT, signal.SIGHUP):  # the parent's to answer, whoever else is told
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _go_on)
    set_environment(threads)
    if devices is not None:
        os.environ[VARIABLE] = devices
    end_with(parent)


def _go_on(number: int, frame: object) -> None:
    """As if the signal was ignored; but programs that a worker starts do not inherit that, so that it can end them."""


def _compute(
    call: StageCall, store_root: str, work_dir: str, terms: LeaseTerms | None, companions: Sequence[StageCall]
) -> ArtifactRef:
    store = ArtifactStore(store_root)

    def workplace(one: StageCall) -> Workplace:
        _log_line(one, "started")
        return workplace_for(one, store, Path(work_dir).absolute() / "scratch", _outbox.put)

    ref = perform_with(call, companions, workplace, terms).ref
    _log_line(call, "done")
    return ref


def _log_line(call: StageCall, event: str) -> None:
    """What a worker was doing when: the last such line tells what it died over."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    print(f"{now} {os.getpid()} {call.title}: {event} {call.ref.key}", flush=True)
