"""What a flow is written against: it asks a run for stages, and the run looks them up (a plan) or computes them.

A call's address is known before anything is computed, so a flow is written once and serves twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from latent_core.config.base import StageConfig
from latent_core.store import ArtifactRef, ArtifactStore
from tasks.merge import MERGED, Merge
from tasks.stage import Parent, Stage, StageCall
from tasks.workers.budget import Budget


@dataclass(frozen=True)
class Pending:
    """A stage's result to be: its address is known before it is computed."""

    call: StageCall

    @property
    def ref(self) -> ArtifactRef:
        return self.call.ref


Input = Parent | Pending


class Run(Protocol):
    """Collects the stage calls of one flow; `tasks.run.plan.Plan` or `tasks.run.execution.Execution`."""

    name: str
    store: ArtifactStore
    tags: dict[str, str]

    def add(self, call: StageCall) -> Pending:
        """Take a call in; one that is there already is not taken again."""
        ...

    def add_joined(self, calls: list[StageCall]) -> list[Pending]:
        """Take calls in that one engine can generate in joined passes (see `tasks.workers.joined`)."""
        ...

    def stage(
        self,
        stage: Stage,
        config: StageConfig,
        inputs: Mapping[str, Input],
        *,
        label: str = "",
        rows: int | None = None,
    ) -> Pending:
        """Add a stage; returns at once. `rows` is how many a plan expects of it."""
        return self.add(_call(stage, config, inputs, label, rows))

    def stages(
        self, stage: Stage, configs: Mapping[str, StageConfig], inputs: Mapping[str, Input], *, rows: int | None = None
    ) -> list[Pending]:
        """Add stages, by label, that can be computed together. Each is a stage of its own, with an artifact of its own;
        what is missing of them is computed in joined passes."""
        return self.add_joined([_call(stage, config, inputs, label, rows) for label, config in configs.items()])

    def merge(self, name: str, shards: Iterable[Pending], label: str = "") -> Pending:
        """Add the sharded artifact over `shards`, in order."""
        inputs = {f"shard_{index}": shard for index, shard in enumerate(shards)}
        return self.stage(MERGED[name], Merge(shards=len(inputs)), inputs, label=label)

    def limit(self, stage: Stage, budget: Budget) -> None:
        """Stop before a further result of `stage` is computed once `budget` is reached."""
        ...

    def results_of(self, stage: Stage) -> list[ArtifactRef]:
        """The addresses of the stage's results so far, in the order in which they were added."""
        ...

    def note(self, line: str) -> None:
        """Say what the run settled for itself: shown with a plan, logged by an execution."""
        ...

    def warn(self, line: str) -> None:
        """Say what a user should look at. An execution logs it; a plan keeps it for whoever executes nothing after."""
        ...

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags of the run, in its journal and where it is tracked."""
        ...

    def register_models(self, name: str | None, trained: Mapping[str, ArtifactRef]) -> None:
        """Make finished models, by variant, versions of `name` in the model registry; without a name, none."""
        ...

    def lacks_record(self) -> None:
        """Say that no run has recorded this result yet: a plan remembers it, an execution records it anyway."""
        ...


def _call(stage: Stage, config: StageConfig, inputs: Mapping[str, Input], label: str, rows: int | None) -> StageCall:
    parents = {role: item.ref if isinstance(item, Pending) else item for role, item in inputs.items()}
    return stage.call(config, parents, label, rows)
