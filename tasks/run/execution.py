"""A run that computes: a flow's stage calls become Prefect tasks whose truth is the store.

A task whose artifact is there and whole ends in the state `Cached`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from latent_core.config.runtime import Runner, RuntimeConfig
from latent_core.errors import InputError, LatentError, StageFailed
from latent_core.store import Artifact, ArtifactRef, ArtifactStore
from tasks.progress.prefect import PrefectBoard
from tasks.progress.run import RunProgress, open_progress
from tasks.run.attempt import Attempts
from tasks.run.estimates import costs_of
from tasks.run.force import check_force
from tasks.run.history import RunRecord
from tasks.run.prefect_tasks import Attempt, Ended, StageTasks
from tasks.run.protocol import Run
from tasks.run.schedule import stored_parents
from tasks.stage import Stage, StageCall
from tasks.tracking.tracker import Tracker
from tasks.workers.budget import Budget
from tasks.workers.pool import Pool, Progress, ProgressSink

logger = logging.getLogger("latent")


class Tasks(Protocol):
    """What runs calls in the order of their inputs."""

    def run(
        self, calls: Sequence[StageCall], done: Mapping[ArtifactRef, StageCall], ended: dict[ArtifactRef, Ended]
    ) -> None:
        """Run `calls`, those of `done` as found in the store; what becomes of each is written to `ended`.

        A call whose input failed is left out. Returns when nothing is under way any more.
        """
        ...


class Execution(Run):
    """Computes what `finish` finds missing. `tasks` is given how a call is attempted, and returns what runs calls."""

    def __init__(
        self,
        name: str,
        store: ArtifactStore,
        runtime: RuntimeConfig,
        pool: Pool,
        tracker: Tracker,
        progress: RunProgress,
        tasks: Callable[[Attempt], Tasks],
        force: frozenset[str] = frozenset(),
    ) -> None:
        self.name = name
        self.store = store
        self.tags: dict[str, str] = {}
        self.over = threading.Event()
        self.result: ArtifactRef | None = None
        """What was asked for last: the flow's result, once it is there."""
        self._tracker = tracker
        self._progress = progress
        self._attempts = Attempts(store, runtime, pool, force, self._done, self.over)
        self._tasks = tasks(self._attempts.attempt)
        self._calls: dict[ArtifactRef, StageCall] = {}
        self._ended: dict[ArtifactRef, Ended] = {}
        self._shards: set[ArtifactRef] = set()

    def add(self, call: StageCall) -> ArtifactRef:
        if call.ref not in self._calls:
            self._calls[call.ref] = call
            self._progress.expect(call)
            self._tracker.expect(call)
            self._attempts.learn(call)
        return call.ref

    def add_joined(self, calls: list[StageCall]) -> list[ArtifactRef]:
        self._attempts.join(calls)
        return [self.add(call) for call in calls]

    def merge(self, name: str, shards: Iterable[ArtifactRef], label: str = "") -> ArtifactRef:
        """Add the sharded artifact over `shards`, in order; it stands for them where the run is tracked."""
        shards = list(shards)
        self._shards.update(shards)
        return super().merge(name, shards, label)

    def limit(self, stage: Stage[Any, Any], budget: Budget) -> None:
        self._attempts.limit(stage, budget)

    def results_of(self, stage: Stage[Any, Any]) -> list[ArtifactRef]:
        return [ref for ref in self._calls if ref.stage == stage.name]

    def note(self, line: str) -> None:
        logger.info("%s", line)

    def warn(self, line: str) -> None:
        logger.warning("%s", line)

    def tag(self, tags: Mapping[str, str]) -> None:
        self.tags |= tags
        self._tracker.tag(tags)

    def register_models(self, name: str | None, trained: Mapping[str, ArtifactRef]) -> None:
        if name is None:
            return
        for variant, ref in trained.items():
            self._tracker.register_model(name, ref, variant)

    def lacks_record(self) -> None:
        """An execution leaves its record anyway."""

    def artifact(self, ref: ArtifactRef) -> Artifact:
        """Compute what is missing, and return the artifact of a stage."""
        self.finish()
        artifact = self.store.require(ref)
        self.result = ref
        return artifact

    def finish(self) -> None:
        """Compute every stage added so far; raises the first failure that is not the consequence of another.

        What does not depend on a stage that failed is computed all the same. Raises InputError, before anything is
        computed, when `force` names a stage that this flow does not have.
        """
        check_force(self._attempts.force.names, self._calls)
        calls = self._attemptable()
        found = self._found_of(calls)
        if len(found) < len(calls):
            self._progress.start(lambda stages: costs_of(self.store, stages))
        self._tasks.run(calls, found, self._ended)
        for ref, call in self._calls.items():
            end = self._ended.get(ref)
            if end is not None and end.failure:
                raise _failure(call, end)

    def state_of(self, ref: ArtifactRef) -> str | None:
        """How a stage ended: Completed, Cached, or the name of a failure's state; None when it was not tried."""
        end = self._ended.get(ref)
        return end.state if end is not None else None

    def counts(self) -> tuple[int, int]:
        """How many stages this run computed, and how many it has; shards count each."""
        computed = sum(end.state == "Completed" for end in self._ended.values())
        return computed, len(self._calls)

    def tracked(self) -> str:
        """Which MLflow run this is, and what MLflow lacks of it and why, in words."""
        parts = filter(None, (self._tracker.describe(), self._tracker.gap()))
        return "; ".join(parts) or "tracking is off"

    def tracking_url(self) -> str | None:
        return self._tracker.url()

    def _attemptable(self) -> list[StageCall]:
        """Calls that were not tried yet, without those whose inputs failed at an earlier `finish`."""
        failed = {ref for ref, end in self._ended.items() if end.failure}
        calls = []
        for ref, call in self._calls.items():  # inputs are added before what is made of them
            if not failed.isdisjoint(stored_parents(call)):
                failed.add(ref)
            elif ref not in self._ended:
                calls.append(call)
        return calls

    def _found_of(self, calls: Sequence[StageCall]) -> dict[ArtifactRef, StageCall]:
        """Those of the calls whose artifacts are in the store, as are all that they were made from.

        What was made from something that this run computes again is looked at when that is there.
        """
        whole: dict[ArtifactRef, str] = {}
        found: dict[ArtifactRef, StageCall] = {}
        missing: set[ArtifactRef] = set()
        for call in calls:
            due = self._attempts.force.is_due(call)
            if not due and missing.isdisjoint(stored_parents(call)) and self._attempts.find(call, whole):
                found[call.ref] = call
            else:
                missing.add(call.ref)
        return found

    def _done(self, call: StageCall, artifact: Artifact, cached: bool) -> None:
        if call.ref not in self._shards:  # a merged artifact stands for its shards
            self._tracker.stage(artifact, cached=cached, label=call.label)
        self._progress.finish(call, artifact, cached)


@contextmanager
def open_run(name: str, config: Any, *, force: Sequence[str] = ()) -> Iterator[Execution]:
    """Execute the flow `name` inside the block, within its Prefect flow run.

    `config` is its parameters, with the sections store, runtime and tracking. Raises InputError outside a flow run.
    """
    from prefect.context import FlowRunContext

    from tasks.run.prefect_results import results_in

    if FlowRunContext.get() is None:
        raise InputError(f"{name}: is no Prefect flow run here; call the flow in flows/deployed.py, or `latent run`")

    store, runtime = ArtifactStore(config.store), config.runtime
    store.check_writable()
    results = results_in(store)
    progress = open_progress(runtime.workers, PrefectBoard())

    def follow(word: Progress) -> None:
        progress(word)
        tracker.follow(word)

    pool = _open_pool(runtime, store.root, follow)
    tracker = Tracker(config.tracking, name, config, store)
    record = RunRecord(store, tracker.journal, _flow_run_name())
    failure: BaseException | None = None
    link: str | None = None
    run = Execution(
        name,
        store,
        runtime,
        pool,
        tracker,
        progress,
        lambda attempt: StageTasks(runtime, store, results, attempt),
        frozenset(force),
    )
    try:
        yield run
        run.over.set()
        link = run.tracking_url()  # here, so that Ctrl-C while it waits ends the run as it does anywhere else
    except BaseException as error:
        failure = error
        raise
    finally:
        run.over.set()
        computed, stages = run.counts()
        record.end(failure, run.result, computed=computed, stages=stages, link=link)
        pool.close()
        if failure is None or isinstance(failure, Exception):
            progress.end()
        tracker.finish(failed=failure is not None, why=failure)
        if failure is None or isinstance(failure, Exception):  # who interrupts a run does not wait for pages
            tracker.tell_gap()


def _flow_run_name() -> str:
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    return context.flow_run.name if context is not None and context.flow_run is not None else ""


def _open_pool(runtime: RuntimeConfig, root: str, sink: ProgressSink) -> Pool:
    match runtime.runner:
        case Runner.PROCESSES:
            from tasks.workers.processes import WorkerPool

            return WorkerPool(runtime, root, sink)
        case Runner.RAY:
            from tasks.workers.ray import RayPool

            return RayPool(runtime, root, sink)
        case Runner.DASK:
            from tasks.workers.dask import DaskPool

            return DaskPool(runtime, root, sink)


def _failure(call: StageCall, end: Ended) -> LatentError:
    if isinstance(end.error, LatentError):
        return end.error
    if end.error is None:
        return StageFailed(f"{call.title}: {end.failure}")
    failure = StageFailed(f"{call.title}: {type(end.error).__name__}: {end.error}")
    failure.__cause__ = end.error
    return failure
