"""Workers on a Ray cluster: the same calls as `workers`, one actor a worker, on as many machines as there are.

Every machine must reach the store (S3, or a shared folder) and have this project installed. Actors that the cluster has
no room for yet wait in the background while those it has do the work, so that a cluster may be smaller than
`runtime.workers`, grow, or lose a machine: a dead actor is replaced, and its call tried again like any other
infrastructure error.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from latent_core.config.runtime import RuntimeConfig
from latent_core.errors import InfrastructureError, InputError, LatentError
from latent_core.store import ArtifactRef
from latent_core.store.lease import LeaseTerms
from tasks.stage import StageCall
from tasks.workers.budget import Budget, within
from tasks.workers.pool import Progress, ProgressSink, perform_remotely, set_environment

POLL_SECONDS = 2.0  # between two looks at a running call's progress
START_SECONDS = 300.0  # without any actor until a call gives up: as long as a cluster may take to add a machine
logger = logging.getLogger("latent")


class RayPool:
    """A `Pool` of up to `runtime.workers` actors on the cluster at `runtime.ray_address`."""

    def __init__(
        self,
        runtime: RuntimeConfig,
        store_root: str,
        sink: ProgressSink | None = None,
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise InputError("runtime.runner: ray is not installed; pip install 'latent-reasoning[ray]'") from error
        self._ray = ray
        self._runtime = runtime
        self._store_root = store_root
        self._sink = sink
        self._connected_here = not ray.is_initialized()
        if self._connected_here:
            try:
                ray.init(address=runtime.ray_address, log_to_driver=False, logging_level="ERROR")
            except ConnectionError as error:
                raise InputError(
                    f"runtime.ray_address: no Ray cluster at {runtime.ray_address} ({error}); start one with ray start"
                ) from error
        self._free: queue.Queue[Any] = queue.Queue()
        self._actors: set[Any] = set()
        self._started: set[Any] = set()
        self._trouble = ""
        self._closing = threading.Event()
        if not self._fits_somewhere():
            logger.warning("no machine of the Ray cluster is large enough yet: %s", self._wanted())
        for _ in range(runtime.workers):
            self._start_actor()

    def compute(
        self,
        call: StageCall,
        budget: Budget | None = None,
        terms: LeaseTerms | None = None,
        companions: Sequence[StageCall] = (),
    ) -> ArtifactRef:
        """Run a call on the next free actor; see `Pool`. Raises InfrastructureError when there is none for long."""
        with self._lease(call.title) as actor:
            return within(budget, call.title, self._store_root, lambda: self._run(call, actor, terms, companions))

    def close(self) -> None:
        """Stop all actors; a call in progress commits nothing."""
        self._closing.set()
        for actor in list(self._actors):
            self._ray.kill(actor)
        if self._connected_here:
            self._ray.shutdown()

    def _start_actor(self) -> None:
        """Ask the cluster for one more actor; it joins the free ones when it has started."""
        worker = self._ray.remote(RayWorker).options(
            num_cpus=self._runtime.threads_per_worker,
            num_gpus=self._gpus(),
            max_concurrency=2,  # the second thread answers `last_progress`
        )
        actor = worker.remote(self._runtime.threads_per_worker)
        self._actors.add(actor)
        threading.Thread(target=self._admit, args=(actor,), daemon=True).start()

    def _admit(self, actor: Any) -> None:
        try:
            self._ray.get(actor.last_progress.remote())
        except self._ray.exceptions.RayError as error:
            self._actors.discard(actor)
            self._trouble = f"; the last that was started died: {error}"
            if not self._closing.wait(POLL_SECONDS):
                self._start_actor()
            return
        self._started.add(actor)
        self._free.put(actor)

    @contextmanager
    def _lease(self, title: str) -> Iterator[Any]:
        actor = self._next_free(title)
        died = False
        try:
            yield actor
        except _WorkerDied:
            died = True
            raise
        finally:
            if died:
                self._actors.discard(actor)
                self._started.discard(actor)
                self._start_actor()
            else:
                self._free.put(actor)

    def _next_free(self, title: str) -> Any:
        without = time.monotonic()
        while True:
            try:
                return self._free.get(timeout=POLL_SECONDS)
            except queue.Empty:
                if self._started:
                    without = time.monotonic()  # they are busy, which may take any time
                elif time.monotonic() - without > START_SECONDS:
                    raise InfrastructureError(
                        f"{title}: no worker started on the Ray cluster within {START_SECONDS:g} s: "
                        f"{self._wanted()}{self._trouble}"
                    ) from None

    def _run(
        self, call: StageCall, actor: Any, terms: LeaseTerms | None, companions: Sequence[StageCall]
    ) -> ArtifactRef:
        ray = self._ray
        try:
            answer = actor.run.remote(call, self._store_root, terms, companions)
            done: list[Any] = []
            while not done:
                done, _ = ray.wait([answer], timeout=POLL_SECONDS)
                if not done and self._sink is not None:
                    last = ray.get(actor.last_progress.remote())
                    if last is not None:
                        self._sink(last)
            ref: ArtifactRef = ray.get(answer)
        except ray.exceptions.RayTaskError as error:
            # What the stage raised, as it was: a user's mistake stays one line, and is not tried again.
            if isinstance(error.cause, LatentError | OSError):
                raise error.cause from None
            raise
        except ray.exceptions.RayActorError as error:
            raise _WorkerDied(f"{call.title}: its Ray worker died ({type(error).__name__})") from error
        return ref

    def _gpus(self) -> int:
        return self._runtime.devices_per_worker if self._ray.cluster_resources().get("GPU", 0) else 0

    def _fits_somewhere(self) -> bool:
        return any(cpus >= self._runtime.threads_per_worker and gpus >= self._gpus() for cpus, gpus in self._machines())

    def _machines(self) -> list[tuple[float, float]]:
        """CPUs and GPUs of each."""
        alive = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return [(float(resources.get("CPU", 0)), float(resources.get("GPU", 0))) for resources in alive]

    def _wanted(self) -> str:
        wanted = f"{self._runtime.threads_per_worker} CPUs (runtime.threads_per_worker)"
        if gpus := self._gpus():
            wanted += f" and {gpus} GPUs (runtime.devices_per_worker)"
        have = [f"{cpus:g}{f' and {at:g}' if gpus else ''}" for cpus, at in self._machines()]
        return f"each takes {wanted} and the machines have {', '.join(have) or 'none'}; lower it, or add a machine"


class _WorkerDied(InfrastructureError):
    """The actor is gone, and must not be used again."""


class RayWorker:
    """Lives on some machine of the cluster and keeps its model warm from call to call."""

    def __init__(self, threads: int) -> None:
        set_environment(threads)
        self._last: Progress | None = None

    def run(
        self,
        call: StageCall,
        store_root: str,
        terms: LeaseTerms | None = None,
        companions: Sequence[StageCall] = (),
    ) -> ArtifactRef:
        try:
            return perform_remotely(call, store_root, self._note, terms, companions)
        finally:
            self._last = None

    def last_progress(self) -> Progress | None:
        return self._last

    def _note(self, progress: Progress) -> None:
        self._last = progress
