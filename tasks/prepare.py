"""Stage `prepare`: training examples from chains of thought and their compressions, or from gold rationales."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Annotated, NamedTuple

from latent_core.config.base import IDENTITY, StageConfig
from latent_core.config.prepare import PrepareConfig
from latent_core.methods.quality import best_share
from latent_core.models.readable import ReadableModel
from latent_core.sft.examples import Cell, ratio_table, rationale_examples, tokenskip_examples
from latent_core.store import ArtifactRef, ArtifactWriter
from tasks.inputs import Model, ProblemsInput
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import COMPRESSED, GRADED_REASONING, QUALITY, SAMPLES
from tasks.writing import write_examples

_COMPRESSED_COLUMNS = ("question_id", "sample_index", "ratio", "text", "achieved_ratio")


class WarmStartExamples(StageConfig):
    """Gold rationales of the first `questions` training problems."""

    questions: Annotated[int, IDENTITY]
    validation_share: Annotated[float, IDENTITY]
    max_length: Annotated[int, IDENTITY]
    seed: Annotated[int, IDENTITY]


class PrepareInputs(NamedTuple):
    """Chains of thought, their compressions, what scored them, and the model that is trained on them."""

    model: Model
    samples: ArtifactRef
    compressed: ArtifactRef
    quality: ArtifactRef | None = None


class WarmStartInputs(NamedTuple):
    """The training split, and the model that is trained on its rationales."""

    model: Model
    problems: ProblemsInput


@stage("prepare", version=2)
def prepare(out: ArtifactWriter, inputs: PrepareInputs, config: PrepareConfig, workplace: Workplace) -> Outcome:
    samples, compressed = workplace.artifact(inputs.samples), workplace.artifact(inputs.compressed)
    best = None
    if inputs.quality is not None and config.quality_top < 1:
        best = best_share(QUALITY.rows(workplace.artifact(inputs.quality)), config.quality_top)
    accounting: Counter[str] = Counter()
    outcomes: Counter[Cell] = Counter()
    examples = tokenskip_examples(
        SAMPLES.rows(samples, GRADED_REASONING),
        COMPRESSED.rows(compressed, _COMPRESSED_COLUMNS),
        ReadableModel.load(workplace.model_dir(inputs.model)),
        config,
        accounting,
        outcomes,
        best,
    )
    outcome = write_examples(out, examples, accounting)
    return replace(outcome, metrics={**outcome.metrics, "by_ratio": ratio_table(outcomes)})


@stage("prepare_warm_start", version=1)
def prepare_warm_start(
    out: ArtifactWriter, inputs: WarmStartInputs, config: WarmStartExamples, workplace: Workplace
) -> Outcome:
    accounting: Counter[str] = Counter()
    examples = rationale_examples(
        inputs.problems.open().problems(0, config.questions),
        ReadableModel.load(workplace.model_dir(inputs.model)),
        config.validation_share,
        config.seed,
        config.max_length,
        accounting,
    )
    return write_examples(out, examples, accounting)
