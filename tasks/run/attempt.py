"""One call's attempt: force, repair of its inputs, lease, joining with others, computing on a worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from latent_core.config.runtime import InputCheck, LeasePolicy, RuntimeConfig
from latent_core.store import Artifact, ArtifactRef, ArtifactStore
from latent_core.store.lease import LeaseTerms
from tasks.run.companions import Group
from tasks.run.force import Force
from tasks.run.hits import Hits
from tasks.run.repair import InputRepair
from tasks.run.sharing import compute_or_wait
from tasks.stage import Stage, StageCall
from tasks.workers.budget import Budget
from tasks.workers.pool import Pool

Done = Callable[[StageCall, Artifact, bool], None]
"""Is told of each artifact that is there: its call, the artifact, and whether it was there before (cached)."""


class Attempts:
    """Attempts calls, from several threads; the artifact of one that succeeds is in the store.

    `over` is set when the run ends, so that nothing waits for a lease any more.
    """

    def __init__(
        self,
        store: ArtifactStore,
        runtime: RuntimeConfig,
        pool: Pool,
        names: frozenset[str],
        done: Done,
        over: threading.Event,
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._pool = pool
        self._done = done
        self._over = over
        self._hits = Hits(store)
        self.force = Force(names, store, self._hits)
        self._repair = InputRepair(store, self._compute_again, self._hits.set_aside, self._hits.is_outdated)
        self._budgets: dict[str, Budget] = {}
        self._groups: dict[ArtifactRef, Group] = {}

    def learn(self, call: StageCall) -> None:
        """The run can compute this call, which repairs need to know."""
        self._repair.learn(call)

    def join(self, calls: Sequence[StageCall]) -> None:
        """What is missing of these calls is computed together."""
        group = Group(calls, self._runtime.workers)
        self._groups |= {call.ref: group for call in calls}

    def limit(self, stage: Stage[Any, Any], budget: Budget) -> None:
        """Compute no further result of `stage` once `budget` is reached."""
        self._budgets[stage.name] = budget

    def find(self, call: StageCall, whole: dict[ArtifactRef, str] | None = None) -> bool:
        """Whether the call's artifact is in the store; if so, the run has nothing more to do for it.

        With `whole`, content hashes of what was found a moment ago, to which it adds, no shard is looked at twice.
        """
        artifact = self._hits.find(call, whole)
        if artifact is None:
            return False
        self._spend(call, artifact)
        self._done(call, artifact, True)
        return True

    def attempt(self, call: StageCall) -> str:
        """Compute the call; returns why nothing was computed ("is in the store"), empty when it was."""
        group = self._groups.get(call.ref)
        is_new = self.force.take(call) or (group is not None and group.has_dealt(call))
        if not is_new and self.find(call):  # another run was quicker
            return "is in the store"
        self._hits.clear(call)
        if self._runtime.check_inputs is InputCheck.HASHES:
            self._repair.inputs_of(call)
        made_from = self._hits.renewable(call)
        computed = self._compute(call, self._budgets.get(call.stage.name))
        artifact = self._store.require(call.ref)
        if computed:
            self._repair.trust(call.ref)
            self._hits.renewed(call, made_from)
        else:
            self._spend(call, artifact)
        self._done(call, artifact, not computed)
        return "" if computed else "was computed by another run"

    def _spend(self, call: StageCall, artifact: Artifact) -> None:
        budget = self._budgets.get(call.stage.name)
        if budget is not None:
            budget.spend(artifact)

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
        artifact = self._store.get(call.ref.stage, call.ref.fingerprint)
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
        along = list(companions)

        def compute(terms: LeaseTerms | None) -> None:
            now = tuple(along)
            along.clear()
            try:
                self._pool.compute(call, budget, terms, now)
            finally:
                tried()

        if self._runtime.lease is LeasePolicy.OFF:
            compute(None)
            return True
        return compute_or_wait(call, self._store, self._runtime.lease_seconds, compute, self._over)

    def _is_missing(self, call: StageCall) -> bool:
        return self.force.take(call) or self._hits.find(call) is None
