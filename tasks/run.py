"""One run of a flow: stage calls become Prefect tasks whose truth is the store.

A call's address is known before anything is computed, so a flow is written once and serves twice: executing it computes
what is missing, planning it only looks. A task whose artifact is there and whole ends in the state `Cached`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from latent_core.config.base import StageConfig
from latent_core.config.runtime import InputCheck, LeasePolicy, Runner, RuntimeConfig, TrackingConfig
from latent_core.errors import InfrastructureError, InputError, LatentError, StageFailed
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, DamagedError
from latent_core.store.lease import LeaseTerms
from tasks.budget import Budget
from tasks.companions import Group
from tasks.hits import Hits
from tasks.journal import Journal, JournalModel, journals, read_journals
from tasks.merge import MERGED, Merge
from tasks.pool import Pool, ProgressSink
from tasks.progress import current_sink, shown_to
from tasks.progress_artifacts import PrefectBoard, StageProgress
from tasks.repair import InputRepair
from tasks.sharing import compute_or_wait
from tasks.stage import Parent, Stage, StageCall
from tasks.tracker import Tracker

logger = logging.getLogger("latent")


@dataclass(frozen=True)
class Pending:
    """A stage's result to be: its address now, its Prefect future while a run executes."""

    call: StageCall
    future: Any = None

    @property
    def ref(self) -> ArtifactRef:
        return self.call.ref


@dataclass(frozen=True)
class PlannedStage:
    """A line of a plan."""

    title: str
    ref: ArtifactRef
    hit: bool
    rows: int | None


Input = Parent | Pending


@dataclass
class Run:
    """Collects a flow's stage calls; `planning` runs look into the store and compute nothing."""

    name: str
    config: StageConfig
    store: ArtifactStore
    runtime: RuntimeConfig
    tracking: TrackingConfig
    planning: bool = False
    force: frozenset[str] = frozenset()
    plan: list[PlannedStage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    unrecorded: bool = False  # planning: executing the run would leave a record that is not there yet
    _pending: list[Pending] = field(default_factory=list)
    _pool: Pool | None = None
    _progress: StageProgress | None = None
    _tracker: Tracker | None = None
    _results: Any = None
    _budgets: dict[str, Budget] = field(default_factory=dict)
    _forced: set[ArtifactRef] = field(default_factory=set)
    _force_lock: threading.Lock = field(default_factory=threading.Lock)
    _repair: InputRepair | None = None
    _groups: dict[ArtifactRef, Group] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._hits = Hits(self.store)

    def __enter__(self) -> Run:
        if not self.planning:
            self.store.check_writable()
            self._results = _open_results(self.store)
            self._progress = StageProgress(PrefectBoard())
            self._pool = _open_pool(self.runtime, self.store.root, shown_to(current_sink(), self._progress))
            self._repair = InputRepair(self.store, lambda call: self._compute(call, None), self._hits.set_aside)
            self._tracker = Tracker(self.tracking, self.name, self.config, self.store)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._pool is not None:
            self._pool.close()
        if self._tracker is not None:
            self._tracker.finish(failed=error is not None)
            if error is None or isinstance(error, Exception):  # who interrupts a run does not wait for pages
                self._tracker.tell_gap()

    def stage(
        self,
        stage: Stage,
        config: StageConfig,
        inputs: Mapping[str, Input],
        *,
        label: str = "",
        rows: int | None = None,
    ) -> Pending:
        """Ask for a stage's result; returns at once. `rows` is what the plan shows as expected."""
        return self._ask(_call(stage, config, inputs, label, rows), inputs)

    def stages(
        self, stage: Stage, configs: Mapping[str, StageConfig], inputs: Mapping[str, Input], *, rows: int | None = None
    ) -> list[Pending]:
        """Ask for results, by label, that one engine can generate in joined passes (see `tasks.joint`).

        Each is a stage of its own, as if asked for alone; what is missing of them is computed together.
        """
        calls = [_call(stage, config, inputs, label, rows) for label, config in configs.items()]
        group = Group(calls, self.runtime.workers)
        self._groups |= {call.ref: group for call in calls}
        return [self._ask(call, inputs) for call in calls]

    def _ask(self, call: StageCall, inputs: Mapping[str, Input]) -> Pending:
        if self.planning:
            artifact = self._hits.find(call)
            hit = artifact is not None and call.stage.name not in self.force
            rows = artifact.rows if artifact else call.expected_rows
            self.plan.append(PlannedStage(call.title, call.ref, hit, rows))
            return Pending(call)
        if self._progress is not None:
            self._progress.expect(call)
        waits = [item.future for item in inputs.values() if isinstance(item, Pending)]
        if self._repair is not None:
            self._repair.learn(call)
        pending = Pending(call, self._task(call).submit(wait_for=waits))
        self._pending.append(pending)
        return pending

    def limit(self, stage: Stage, budget: Budget) -> None:
        """Stop before a further result of `stage` is computed once `budget` is reached."""
        self._budgets[stage.name] = budget

    def merge(self, name: str, shards: Iterable[Pending], label: str = "") -> Pending:
        """The sharded artifact over `shards`, in order."""
        inputs = {f"shard_{index}": shard for index, shard in enumerate(shards)}
        return self.stage(MERGED[name], Merge(shards=len(inputs)), inputs, label=label)

    def artifact(self, pending: Pending) -> Artifact:
        """Wait for a stage and return its artifact."""
        self.finish()
        return self.store.require(pending.ref)

    def finish(self) -> None:
        """Wait for every stage; raises the first failure that is not merely the consequence of another.

        Raises InputError, without waiting, when a stage is to be forced that this flow does not have.
        """
        self.check_force()
        for pending in self._pending:
            pending.future.wait()
        failed = [pending for pending in self._pending if not pending.future.state.is_completed()]
        for pending in failed:
            if pending.future.state.is_failed() or pending.future.state.is_crashed():
                raise _failure(pending)
        if failed:
            raise StageFailed(f"{failed[0].call.title}: {failed[0].future.state.message or 'did not complete'}")

    def check_force(self) -> None:
        """Raise InputError when a stage is to be forced that was not asked for by now."""
        names = {line.ref.stage for line in self.plan} | {pending.ref.stage for pending in self._pending}
        unknown = sorted(self.force - names)
        if unknown:
            raise InputError(f"force: {unknown[0]!r} is no stage of this flow; choose among {', '.join(sorted(names))}")

    def register_models(self, name: str | None, trained: Mapping[str, ArtifactRef]) -> None:
        """Make finished models, by variant, versions of `name` in the model registry; without a name none.

        A planning run notes that it is to be done, unless an earlier run of this store has done it.
        """
        if name is None:
            return
        if self.planning and self.tracking.enabled:
            known = {model for journal in journals(self.store) for model in journal.models}
            lacking = {JournalModel(name, variant, *_address(ref)) for variant, ref in trained.items()} - known
            self.unrecorded = self.unrecorded or bool(lacking)
        if self._tracker is not None:
            for variant, ref in trained.items():
                self._tracker.register_model(name, ref, variant)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Tags of the run, in its journal and where it is tracked."""
        self.tags |= tags
        if self._tracker is not None:
            self._tracker.tag(tags)

    def accepted(self, tags: Mapping[str, str]) -> Journal | None:
        """The newest run of this flow and store that had these tags and did not fail; None when there is none.

        Raises DamagedError where a journal cannot be read, which may have been it.
        """
        written, torn = read_journals(self.store)
        for key, reason in torn.items():
            raise DamagedError(
                f"{self.store.root}/{key} is damaged ({reason}), so what was accepted last is not known; delete it, "
                "and the newest of the others counts"
            )
        found = [
            journal
            for journal in written
            if journal.flow == self.name and journal.status == "FINISHED" and tags.items() <= journal.tags.items()
        ]
        return found[-1] if found else None

    def asked(self, stage: Stage) -> list[ArtifactRef]:
        """The results of a stage that were asked for so far."""
        refs = [line.ref for line in self.plan] + [pending.ref for pending in self._pending]
        return [ref for ref in refs if ref.stage == stage.name]

    def note(self, line: str) -> None:
        """What a run settled for itself: shown with a plan, and in the log of a run that executes."""
        self.notes.append(line)
        if not self.planning:
            logger.info(line)

    def tracked(self) -> str:
        """Which MLflow run this is, and what MLflow lacks of it and why, in words."""
        if self._tracker is None:
            return ""
        parts = filter(None, (self._tracker.describe(), self._tracker.gap()))
        return "; ".join(parts) or "tracking is off"

    def tracking_url(self) -> str | None:
        return self._tracker.url() if self._tracker is not None else None

    def _task(self, call: StageCall) -> Any:
        from prefect import task
        from prefect.tasks import exponential_backoff

        from tasks.results import OneFilePerTaskRun

        return task(
            name=call.stage.name,
            task_run_name=call.title,
            tags=[f"fingerprint:{call.ref.fingerprint[:12]}"],
            cache_policy=OneFilePerTaskRun(),
            refresh_cache=True,
            persist_result=True,
            result_storage=self._results,
            result_serializer="json",
            retries=self.runtime.retries,
            retry_delay_seconds=exponential_backoff(backoff_factor=self.runtime.retry_seconds),
            retry_jitter_factor=0.5,
            retry_condition_fn=_is_worth_a_retry,
        )(lambda: self._perform(call))

    def _perform(self, call: StageCall) -> Any:
        from prefect.states import Completed

        assert self._pool is not None and self._tracker is not None and self._repair is not None
        assert self._progress is not None
        reference = {"stage": call.ref.stage, "fingerprint": call.ref.fingerprint, "uri": self.store.uri(call.ref)}
        artifact = None if self._must_force(call) else self._hits.find(call)
        budget = self._budgets.get(call.stage.name)
        group = self._groups.get(call.ref)
        if artifact is not None and (group is None or not group.has_dealt(call)):
            if budget is not None:
                budget.spend(artifact)
            self._tracker.stage(artifact, cached=True)
            self._progress.finish(call)
            return Completed(name="Cached", message=f"{call.ref} is in the store", data=reference)
        self._hits.clear(call)
        if self.runtime.check_inputs is InputCheck.HASHES:
            self._repair.inputs_of(call)
        computed = self._compute(call, budget)
        artifact = self.store.require(call.ref)
        if computed:
            self._repair.trust(call.ref)
            self._hits.renewed(call.ref)
        self._tracker.stage(artifact, cached=not computed)
        self._progress.finish(call)
        if not computed:
            return Completed(name="Cached", message=f"{call.ref} was computed by another run", data=reference)
        return reference

    def _compute(self, call: StageCall, budget: Budget | None) -> bool:
        """Whether this run computed it: with leases another one may have."""
        group = self._groups.get(call.ref)
        part = None if group is None else group.part_of(call, self._is_missing)
        if part is None:
            return self._compute_with(call, budget)
        if part.lead():
            try:
                companions = part.others(call)
                for companion in companions:
                    self._hits.clear(companion)
                return self._compute_with(call, budget, companions, part.over.set)
            finally:
                part.over.set()
        part.over.wait()
        artifact = self.store.get(call.ref.stage, call.ref.fingerprint)
        if artifact is None:
            return self._compute_with(call, budget)
        if budget is not None:
            budget.spend(artifact)
        return True

    def _compute_with(
        self,
        call: StageCall,
        budget: Budget | None,
        companions: Sequence[StageCall] = (),
        tried: Callable[[], None] = lambda: None,
    ) -> bool:
        """As `_compute`, with companions the first time that a worker takes the call; `tried` is called after that."""
        assert self._pool is not None
        pool, along = self._pool, list(companions)

        def compute(terms: LeaseTerms | None) -> None:
            now = tuple(along)
            along.clear()
            try:
                pool.compute(call, budget, terms, now)
            finally:
                tried()

        if self.runtime.lease is LeasePolicy.OFF:
            compute(None)
            return True
        return compute_or_wait(call, self.store, self.runtime.lease_seconds, compute, self._over)

    def _is_missing(self, call: StageCall) -> bool:
        return self._must_force(call) or self._hits.find(call) is None

    def _must_force(self, call: StageCall) -> bool:
        """Whether this is the run's first look at a stage that is to be computed again."""
        with self._force_lock:
            if call.stage.name not in self.force or call.ref in self._forced:
                return False
            self._forced.add(call.ref)
        if self.store.get(call.ref.stage, call.ref.fingerprint) is not None:
            self._hits.set_aside(call.ref)
        return True


def open_run(name: str, config: Any, *, planning: bool = False, force: Sequence[str] = ()) -> Run:
    """A run of the flow `name`; `config` is its parameters, with the sections store, runtime and tracking."""
    return Run(name, config, ArtifactStore(config.store), config.runtime, config.tracking, planning, frozenset(force))


def _address(ref: ArtifactRef) -> tuple[str, str]:
    return ref.stage, ref.fingerprint


def _call(stage: Stage, config: StageConfig, inputs: Mapping[str, Input], label: str, rows: int | None) -> StageCall:
    parents = {role: item.ref if isinstance(item, Pending) else item for role, item in inputs.items()}
    return stage.call(config, parents, label, rows)


def _open_results(store: ArtifactStore) -> Any:
    from tasks.results import results_in

    return results_in(store)


def _open_pool(runtime: RuntimeConfig, root: str, sink: ProgressSink) -> Pool:
    match runtime.runner:
        case Runner.PROCESSES:
            from tasks.workers import WorkerPool

            return WorkerPool(runtime, root, sink)
        case Runner.RAY:
            from tasks.ray_workers import RayPool

            return RayPool(runtime, root, sink)
        case Runner.DASK:
            from tasks.dask_workers import DaskPool

            return DaskPool(runtime, root, sink)


def _is_worth_a_retry(task: Any, task_run: Any, state: Any) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, InfrastructureError | OSError) and not isinstance(error, InputError | PermissionError)


def _failure(pending: Pending) -> LatentError:
    error = pending.future.state.result(raise_on_failure=False)
    if isinstance(error, LatentError):
        return error
    failure = StageFailed(f"{pending.call.title}: {type(error).__name__}: {error}")
    failure.__cause__ = error if isinstance(error, BaseException) else None
    return failure
