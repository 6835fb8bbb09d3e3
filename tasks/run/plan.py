"""A run that only looks: what of a flow the store has, what is missing; it computes and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latent_core.config.runtime import TrackingConfig
from latent_core.store import ArtifactRef, ArtifactStore
from tasks.run.force import check_force
from tasks.run.hits import Hits
from tasks.run.protocol import Run
from tasks.stage import Stage, StageCall
from tasks.tracking.journal import JournalModel, journals
from tasks.workers.budget import Budget


@dataclass(frozen=True)
class PlannedStage:
    """A line of a plan."""

    title: str
    ref: ArtifactRef
    hit: bool
    rows: int | None


class Plan(Run):
    """`lines` has one entry for each call, as an execution computes it once; `unrecorded`: executing the run would
    leave a record that is not there."""

    def __init__(
        self, name: str, store: ArtifactStore, tracking: TrackingConfig, force: frozenset[str] = frozenset()
    ) -> None:
        self.name = name
        self.store = store
        self.tracking = tracking
        self.tags: dict[str, str] = {}
        self.lines: list[PlannedStage] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.unrecorded = False
        self._force = force
        self._hits = Hits(store)
        self._added: set[ArtifactRef] = set()
        self._whole: dict[ArtifactRef, str] = {}  # content hashes of what was found

    def add(self, call: StageCall) -> ArtifactRef:
        if call.ref in self._added:
            return call.ref
        self._added.add(call.ref)
        artifact = self._hits.find(call, self._whole)
        hit = artifact is not None and call.stage.name not in self._force
        rows = artifact.rows if artifact else call.expected_rows
        self.lines.append(PlannedStage(call.title, call.ref, hit, rows))
        return call.ref

    def add_joined(self, calls: list[StageCall]) -> list[ArtifactRef]:
        return [self.add(call) for call in calls]

    def limit(self, stage: Stage[Any, Any], budget: Budget) -> None:
        """A plan spends nothing."""

    def results_of(self, stage: Stage[Any, Any]) -> list[ArtifactRef]:
        return [line.ref for line in self.lines if line.ref.stage == stage.name]

    def note(self, line: str) -> None:
        self.notes.append(line)

    def warn(self, line: str) -> None:
        self.warnings.append(line)

    def tag(self, tags: Mapping[str, str]) -> None:
        self.tags |= tags

    def register_models(self, name: str | None, trained: Mapping[str, ArtifactRef]) -> None:
        """Notes that it is to be done, unless an earlier run of this store has done it."""
        if name is None:
            return
        known = {model for journal in journals(self.store) for model in journal.models}
        models = {JournalModel(name, variant, ref.stage, ref.fingerprint) for variant, ref in trained.items()}
        if models - known:
            self.lacks_record()

    def lacks_record(self) -> None:
        self.unrecorded = self.unrecorded or self.tracking.enabled

    def missing(self) -> list[PlannedStage]:
        """What executing the run would compute."""
        return [line for line in self.lines if not line.hit]

    def check_force(self) -> None:
        """Raise InputError when `force` names a stage that this flow does not have."""
        check_force(self._force, [line.ref for line in self.lines])


def open_plan(name: str, config: Any, *, force: Sequence[str] = ()) -> Plan:
    """A plan of the flow `name`; `config` is its parameters, with the sections store and tracking."""
    return Plan(name, ArtifactStore(config.store), config.tracking, frozenset(force))
