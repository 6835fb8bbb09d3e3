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
from latent_core.errors import InputError, LatentError, StageFailed
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, DamagedError
from latent_core.store.lease import LeaseTerms
from tasks.merge import MERGED, Merge, MergeInputs
from tasks.progress.prefect import PrefectBoard, StageProgress
from tasks.progress.terminal import current_sink, shown_to
from tasks.run.companions import Group
from tasks.run.hits import Hits
from tasks.run.prefect_tasks import Ended, StageTasks, reference_to
from tasks.run.repair import InputRepair
from tasks.run.schedule import stored_parents
from tasks.run.sharing import compute_or_wait
from tasks.stage import C, I, Stage, StageCall
from tasks.tracking.journal import Journal, JournalModel, journals, read_journals
from tasks.tracking.tracker import Tracker
from tasks.workers.budget import Budget
from tasks.workers.pool import Pool, ProgressSink

logger = logging.getLogger("latent")


@dataclass(frozen=True)
class PlannedStage:
    """A line of a plan."""

    title: str
    ref: ArtifactRef
    hit: bool
    rows: int | None


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
    _asked: dict[ArtifactRef, StageCall] = field(default_factory=dict)
    _ended: dict[ArtifactRef, Ended] = field(default_factory=dict)
    _tasks: StageTasks | None = None
    _shards: set[ArtifactRef] = field(default_factory=set)
    _whole: dict[ArtifactRef, str] = field(default_factory=dict)  # content hashes of what this plan found
    _pool: Pool | None = None
    _progress: StageProgress | None = None
    _tracker: Tracker | None = None
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
            self._tasks = StageTasks(self.runtime, self.store, _open_results(self.store), self._perform)
            self._progress = StageProgress(PrefectBoard())
            self._pool = _open_pool(self.runtime, self.store.root, shown_to(current_sink(), self._progress))
            self._repair = InputRepair(self.store, self._compute_again, self._hits.set_aside, self._hits.is_outdated)
            self._tracker = Tracker(self.tracking, self.name, self.config, self.store)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._pool is not None:
            self._pool.close()
        if self._tasks is not None and error is None:
            self._tasks.settle()
        if self._tracker is not None:
            self._tracker.finish(failed=error is not None)
            if error is None or isinstance(error, Exception):  # who interrupts a run does not wait for pages
                self._tracker.tell_gap()

    def stage(
        self,
        stage: Stage[I, C],
        config: C,
        inputs: I,
        *,
        label: str = "",
        rows: int | None = None,
    ) -> ArtifactRef:
        """Request a stage's result; returns its address at once, and `finish` computes it.

        `rows` is what a plan expects. Raises TypeError for inputs of another stage.
        """
        return self._ask(stage.call(config, inputs, label, rows))

    def stages(
        self, stage: Stage[I, C], configs: Mapping[str, C], inputs: I, *, rows: int | None = None
    ) -> list[ArtifactRef]:
        """Ask for results, by label, that one engine can generate in joined passes (see `tasks.workers.joined`).

        Each is a stage of its own, as if asked for alone; what is missing of them is computed together.
        """
        calls = [stage.call(config, inputs, label, rows) for label, config in configs.items()]
        group = Group(calls, self.runtime.workers)
        self._groups |= {call.ref: group for call in calls}
        return [self._ask(call) for call in calls]

    def _ask(self, call: StageCall) -> ArtifactRef:
        if self.planning:
            artifact = self._hits.find(call, self._whole)
            hit = artifact is not None and call.stage.name not in self.force
            rows = artifact.rows if artifact else call.expected_rows
            self.plan.append(PlannedStage(call.title, call.ref, hit, rows))
            return call.ref
        if call.ref not in self._asked:
            assert self._progress is not None and self._repair is not None
            self._asked[call.ref] = call
            self._progress.expect(call)
            self._repair.learn(call)
        return call.ref

    def limit(self, stage: Stage[Any, Any], budget: Budget) -> None:
        """Stop before a further result of `stage` is computed once `budget` is reached."""
        self._budgets[stage.name] = budget

    def merge(self, name: str, shards: Iterable[ArtifactRef], label: str = "") -> ArtifactRef:
        """The sharded artifact over `shards`, in order."""
        inputs = MergeInputs(tuple(shards))
        self._shards.update(inputs.shards)
        return self.stage(MERGED[name], Merge(shards=len(inputs.shards)), inputs, label=label)

    def artifact(self, ref: ArtifactRef) -> Artifact:
        """Wait for a stage and return its artifact."""
        self.finish()
        return self.store.require(ref)

    def finish(self) -> None:
        """Compute every stage asked for by now; raises the first failure that is not the consequence of another.

        What does not depend on a stage that failed is computed all the same. Raises InputError, before anything is
        computed, when `force` names a stage that this flow does not have.
        """
        self.check_force()
        assert self._tasks is not None
        calls = [call for call in self._asked.values() if call.ref not in self._ended]
        self._tasks.run(calls, self._found_of(calls), self._ended)
        for call in self._asked.values():
            end = self._ended.get(call.ref)
            if end is not None and end.failure:
                raise _failure(call, end)

    def state_of(self, ref: ArtifactRef) -> str | None:
        """How a stage ended: Completed, Cached, or the name of a failure's state; None when it was not tried."""
        end = self._ended.get(ref)
        return end.state if end is not None else None

    def check_force(self) -> None:
        """Raise InputError when `force` names a stage that this flow does not have."""
        names = {line.ref.stage for line in self.plan} | {ref.stage for ref in self._asked}
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

    def asked(self, stage: Stage[Any, Any]) -> list[ArtifactRef]:
        """The results of a stage that were asked for so far."""
        refs = [line.ref for line in self.plan] + list(self._asked)
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

    def _found_of(self, calls: Sequence[StageCall]) -> dict[ArtifactRef, StageCall]:
        """Those of the calls whose artifacts are in the store, as are all that they were made from.

        What was made from something that this run computes again is looked at when that is there.
        """
        whole: dict[ArtifactRef, str] = {}
        found: dict[ArtifactRef, StageCall] = {}
        missing: set[ArtifactRef] = set()
        for call in calls:
            must = call.stage.name in self.force and call.ref not in self._forced
            if not must and missing.isdisjoint(stored_parents(call)) and self._is_found(call, whole):
                found[call.ref] = call
            else:
                missing.add(call.ref)
        return found

    def _is_found(self, call: StageCall, whole: dict[ArtifactRef, str] | None = None) -> bool:
        """Whether the call's artifact is in the store; if so, the run has nothing more to do for it.

        With `whole`, content hashes of what was found a moment ago, to which it adds, no shard is looked at twice.
        """
        artifact = self._hits.find(call, whole)
        if artifact is not None:
            self._found(call, artifact)
        return artifact is not None

    def _found(self, call: StageCall, artifact: Artifact, *, cached: bool = True) -> None:
        assert self._tracker is not None and self._progress is not None
        budget = self._budgets.get(call.stage.name)
        if cached and budget is not None:
            budget.spend(artifact)
        if call.ref not in self._shards:  # a merged artifact stands for its shards
            self._tracker.stage(artifact, cached=cached)
        self._progress.finish(call)

    def _perform(self, call: StageCall) -> Any:
        """What a call's task does: what it returns is a reference, or the state `Cached`."""
        from prefect.states import Completed

        assert self._repair is not None
        group = self._groups.get(call.ref)
        is_new = self._must_force(call) or (group is not None and group.has_dealt(call))
        if not is_new and self._is_found(call):  # another run was quicker
            return Completed(name="Cached", message=f"{call.ref} is in the store", data=reference_to(call, self.store))
        self._hits.clear(call)
        if self.runtime.check_inputs is InputCheck.HASHES:
            self._repair.inputs_of(call)
        made_from = self._hits.renewable(call)
        computed = self._compute(call, self._budgets.get(call.stage.name))
        artifact = self.store.require(call.ref)
        if computed:
            self._repair.trust(call.ref)
            self._hits.renewed(call, made_from)
        self._found(call, artifact, cached=not computed)
        reference = reference_to(call, self.store)
        if computed:
            return reference
        return Completed(name="Cached", message=f"{call.ref} was computed by another run", data=reference)

    def _compute_again(self, call: StageCall) -> None:
        """What was found damaged, or outdated by that, when another call needed it."""
        made_from = self._hits.renewable(call)
        self._compute(call, None)
        self._hits.renewed(call, made_from)

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
                    self._hits.renewed(companion, self._hits.renewable(companion))  # if so: its task may come later
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


def _open_results(store: ArtifactStore) -> Any:
    from tasks.run.prefect_results import results_in

    return results_in(store)


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
