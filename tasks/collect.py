"""Stage `collect`: the base model's chains of thought on the training split, graded; one artifact per shard."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, StageConfig
from latent_core.config.prompting import Prompting, with_exemplar_set
from latent_core.config.sampling import SamplingConfig
from latent_core.store import ArtifactWriter
from tasks.inputs import Model, ProblemsInput
from tasks.stage import Outcome, Workplace, stage
from tasks.writing import write_collection


class CollectShard(StageConfig):
    """Questions `start` to `stop` (exclusive); the number of shards is no part of it, so more questions keep hits."""

    sampling: Annotated[SamplingConfig, IDENTITY]
    start: Annotated[int, IDENTITY]
    stop: Annotated[int, IDENTITY]
    prompting: Annotated[Prompting, IDENTITY, OMITTED_AT_DEFAULT] = Prompting.RATIO

    def identity(self) -> dict[str, Any]:
        """Worked examples that a way of prompting shows are part of it."""
        return with_exemplar_set(super().identity(), self.prompting)


class CollectInputs(NamedTuple):
    """The model that answers, and the training split."""

    model: Model
    problems: ProblemsInput


@stage("collect_shard", version=4)
def collect_shard(out: ArtifactWriter, inputs: CollectInputs, config: CollectShard, workplace: Workplace) -> Outcome:
    problems = inputs.problems.open()
    block = problems.problems(config.start, config.stop)
    return write_collection(
        out, inputs.model, block, config.sampling, workplace, benchmark=problems.name, prompting=config.prompting
    )
