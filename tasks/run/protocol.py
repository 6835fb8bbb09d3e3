"""What a flow is written against: it asks a run for stages, and the run looks them up (a plan) or computes them.

A call's address is known before anything is computed, so a flow is written once and serves twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from latent_core.store import ArtifactRef, ArtifactStore
from tasks.merge import MERGED, Merge, MergeInputs
from tasks.stage import C, I, Stage, StageCall
from tasks.workers.budget import Budget


class Run(Protocol):
    """Collects the stage calls of one flow; `tasks.run.plan.Plan` or `tasks.run.execution.Execution`."""

    name: str
    store: ArtifactStore
    tags: dict[str, str]

    def add(self, call: StageCall) -> ArtifactRef:
        """Take a call in; one that is there already is not taken again."""
        ...

    def add_joined(self, calls: list[StageCall]) -> list[ArtifactRef]:
        """Take calls in that one engine can generate in joined passes (see `tasks.workers.joined`)."""
        ...

    def stage(
        self,
        stage: Stage[I, C],
        config: C,
        inputs: I,
        *,
        label: str = "",
        rows: int | None = None,
    ) -> ArtifactRef:
        """Add a stage; returns its result's address at once. `rows` is how many a plan expects of it.

        Raises TypeError for inputs of another stage.
        """
        return self.add(stage.call(config, inputs, label, rows))

    def stages(
        self, stage: Stage[I, C], configs: Mapping[str, C], inputs: I, *, rows: int | None = None
    ) -> list[ArtifactRef]:
        """Add stages, by label, that can be computed together. Each is a stage of its own, with an artifact of its own;
        what is missing of them is computed in joined passes."""
        return self.add_joined([stage.call(config, inputs, label, rows) for label, config in configs.items()])

    def merge(self, name: str, shards: Iterable[ArtifactRef], label: str = "") -> ArtifactRef:
        """Add the sharded artifact over `shards`, in order."""
        inputs = MergeInputs(tuple(shards))
        return self.stage(MERGED[name], Merge(shards=len(inputs.shards)), inputs, label=label)

    def limit(self, stage: Stage[Any, Any], budget: Budget) -> None:
        """Stop before a further result of `stage` is computed once `budget` is reached."""
        ...

    def results_of(self, stage: Stage[Any, Any]) -> list[ArtifactRef]:
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
