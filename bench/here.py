"""A run that computes in this process and thread, without Prefect: for benches and tests of what surrounds a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from flows.launch.registry import FlowEntry
from latent_core.store import Artifact, ArtifactRef, ArtifactStore
from latent_core.store.lease import LeaseTerms
from tasks.progress.run import open_progress
from tasks.run.execution import Execution
from tasks.run.prefect_tasks import Attempt, Ended
from tasks.run.schedule import Schedule
from tasks.stage import StageCall, Workplace
from tasks.tracking.tracker import Tracker
from tasks.workers.budget import Budget
from tasks.workers.compute import perform


class WorkerHere:
    """A `Pool` whose only worker is the calling thread; `computed` lists what it computed."""

    def __init__(self, store: ArtifactStore, work_dir: str) -> None:
        self.computed: list[StageCall] = []
        self._store = store
        self._work_dir = Path(work_dir)

    def compute(
        self,
        call: StageCall,
        budget: Budget | None = None,
        terms: LeaseTerms | None = None,
        companions: Sequence[StageCall] = (),
    ) -> ArtifactRef:
        """Compute the call alone; what it was to be joined with is computed later."""
        self.computed.append(call)
        return perform(call, Workplace(self._store, self._work_dir / call.ref.key, lambda *_: None), terms).ref

    def close(self) -> None:
        """Nothing runs on."""


class TasksInTurn:
    """Attempts one call after another; a failure ends the run at once."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def run(
        self, calls: Sequence[StageCall], done: Mapping[ArtifactRef, StageCall], ended: dict[ArtifactRef, Ended]
    ) -> None:
        """As `tasks.run.execution.Tasks`."""
        ended.update((ref, Ended("Cached", uuid4())) for ref in done)
        schedule = Schedule(calls, done)
        while (call := schedule.take()) is not None:
            ended[call.ref] = Ended("Cached" if self._attempt(call) else "Completed", uuid4())
            schedule.succeed(call.ref)


@contextmanager
def open_here(name: str, config: Any) -> Iterator[tuple[Execution, WorkerHere]]:
    """An execution that looks up, repairs, computes and journals as any does, and who computes for it."""
    store = ArtifactStore(config.store)
    worker = WorkerHere(store, config.runtime.work_dir)
    tracker = Tracker(config.tracking, name, config, store)
    progress = open_progress(config.runtime.workers, None)
    failed = True
    try:
        yield Execution(name, store, config.runtime, worker, tracker, progress, TasksInTurn), worker
        failed = False
    finally:
        tracker.finish(failed=failed)


def run_here(name: str, entry: FlowEntry, config: Any) -> tuple[Artifact, list[StageCall]]:
    """A flow from its stages to its verdict; returns its result, and what was computed on the way."""
    with open_here(name, config) as (run, worker):
        result = run.artifact(entry.compose(config, run))
        entry.conclude(config, run, result)
        return result, worker.computed
