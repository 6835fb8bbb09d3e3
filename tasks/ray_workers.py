"""Workers on a Ray cluster: the same calls as `workers`, one actor a worker, on as many machines as there are.

Every machine must reach the store (S3, or a shared folder) and have this project installed. An actor that dies with its
machine is replaced, on whatever is left, and its call is tried again like any other infrastructure error.
"""

from __future__ import annotations

import os
import queue
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from latent_core.config.runtime import RuntimeConfig
from latent_core.errors import InfrastructureError, InputError, LatentError
from latent_core.store import ArtifactRef, ArtifactStore
from latent_core.store.lease import LeaseTerms
from tasks.budget import Budget
from tasks.stage import StageCall, Workplace, perform
from tasks.workers import Progress, ProgressSink

POLL_SECONDS = 2.0  # between two looks at a running call's progress
START_SECONDS = 300.0  # for the cluster to find room for an actor


class RayPool:
    """`runtime.workers` actors on the cluster at `runtime.ray_address`; `compute` blocks until one has answered."""

    def __init__(self, runtime: RuntimeConfig, store_root: str, sink: ProgressSink | None = None) -> None:
        try:
            import ray
        except ImportError as error:
            raise InputError("runtime.runner: ray is not installed; pip install 'latent-reasoning[ray]'") from error
        self._ray = ray
        self._runtime = runtime
        self._store_root = store_root
        self._sink = sink
        if not ray.is_initialized():
            try:
                ray.init(address=runtime.ray_address, log_to_driver=False, logging_level="ERROR")
            except ConnectionError as error:
                raise InputError(
                    f"runtime.ray_address: no Ray cluster at {runtime.ray_address} ({error}); start one with ray start"
                ) from error
        self._free: queue.Queue[Any] = queue.Queue()
        for _ in range(runtime.workers):
            self._free.put(None)  # an actor is started when its first call comes

    def compute(self, call: StageCall, budget: Budget | None = None, terms: LeaseTerms | None = None) -> ArtifactRef:
        """Run a call on the next free actor. Raises InfrastructureError when the actor dies, else what it raised."""
        with self._lease() as lease:
            if budget is not None:
                budget.admit(call.title)
            if lease.actor is None:
                lease.actor = self._start()
            try:
                ref = self._wait(call, lease.actor, terms)
                if budget is not None:
                    budget.spend(ArtifactStore(self._store_root).require(ref))
                return ref
            except (self._ray.exceptions.RayActorError, self._ray.exceptions.NodeDiedError) as error:
                lease.actor = None
                raise InfrastructureError(f"{call.title}: its Ray worker died ({type(error).__name__})") from error
            except self._ray.exceptions.GetTimeoutError as error:
                self._ray.kill(lease.actor)
                lease.actor = None
                raise InfrastructureError(
                    f"{call.title}: the Ray cluster had no room for a worker with {self._resources()} within "
                    f"{START_SECONDS:g} s"
                ) from error

    def close(self) -> None:
        """Stop all actors; a call in progress commits nothing."""
        while not self._free.empty():
            actor = self._free.get()
            if actor is not None:
                self._ray.kill(actor)

    def _wait(self, call: StageCall, actor: Any, terms: LeaseTerms | None) -> ArtifactRef:
        ray = self._ray
        answer = actor.run.remote(call, self._store_root, terms)
        done: list[Any] = []
        while not done:
            done, _ = ray.wait([answer], timeout=POLL_SECONDS)
            if not done and self._sink is not None:
                last = ray.get(actor.last_progress.remote())
                if last is not None:
                    self._sink(last)
        try:
            ref: ArtifactRef = ray.get(answer)
        except ray.exceptions.RayTaskError as error:
            # What the stage raised, as it was: a user's mistake stays one line, and is not tried again.
            if isinstance(error.cause, LatentError | OSError):
                raise error.cause from None
            raise
        return ref

    def _start(self) -> Any:
        options = {"max_concurrency": 2, **self._resources()}  # the second thread answers `last_progress`
        actor = self._ray.remote(_RayWorker).options(**options).remote(self._runtime.threads_per_worker)
        self._ray.get(actor.last_progress.remote(), timeout=START_SECONDS)
        return actor

    def _resources(self) -> dict[str, float]:
        gpus = self._ray.cluster_resources().get("GPU", 0)
        return {
            "num_cpus": self._runtime.threads_per_worker,
            "num_gpus": self._runtime.devices_per_worker if gpus else 0,
        }

    @contextmanager
    def _lease(self) -> Iterator[_Lease]:
        lease = _Lease(self._free.get())
        try:
            yield lease
        finally:
            self._free.put(lease.actor)


class _Lease:
    def __init__(self, actor: Any) -> None:
        self.actor = actor


class _RayWorker:
    """Lives on some machine of the cluster and keeps its model warm from call to call."""

    def __init__(self, threads: int) -> None:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        os.environ["OMP_NUM_THREADS"] = str(threads)
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        self._last: Progress | None = None

    def run(self, call: StageCall, store_root: str, terms: LeaseTerms | None = None) -> ArtifactRef:
        def progress(done: int, total: int, tokens: int) -> None:
            self._last = Progress(call.title, call.ref.fingerprint, done, total, tokens)

        scratch = Path(tempfile.gettempdir()) / "latent-reasoning" / call.ref.key
        try:
            return perform(call, ArtifactStore(store_root), Workplace(scratch, progress), terms).ref
        finally:
            self._last = None

    def last_progress(self) -> Progress | None:
        return self._last
