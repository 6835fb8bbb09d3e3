"""Stages of self-training: `select_exemplars`, `collect_few_shot` (sharded), `select_shortest`, `prepare_selected`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

from latent_core.benchmarks.problem import Problem
from latent_core.config.base import IDENTITY, StageConfig
from latent_core.config.concise import PrepareSelectedConfig, SelectExemplarsConfig, SelectShortestConfig
from latent_core.config.prompting import TextFormat
from latent_core.config.sampling import SamplingConfig
from latent_core.exemplars import Exemplar
from latent_core.methods import concise
from latent_core.methods.concise import (
    draw_exemplars,
    selected_examples,
    shortest_correct,
)
from latent_core.models.family import load_tokenizer
from latent_core.models.readable import ReadableModel
from latent_core.models.tokens import encode
from latent_core.store import ArtifactRef, ArtifactWriter
from tasks.inputs import Model, ProblemsInput
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import EXEMPLARS, GRADED_REASONING, SAMPLES, SELECTED
from tasks.writing import write_collection, write_examples


class FewShotShard(StageConfig):
    """Questions `start` to `stop` (exclusive), each after worked examples of its own."""

    sampling: Annotated[SamplingConfig, IDENTITY]
    start: Annotated[int, IDENTITY]
    stop: Annotated[int, IDENTITY]
    per_prompt: Annotated[int, IDENTITY]
    seed: Annotated[int, IDENTITY]
    text_format: Annotated[TextFormat, IDENTITY]


class PrepareFormat(StageConfig):
    """How selected samples become examples, and in which format they are written."""

    prepare: Annotated[PrepareSelectedConfig, IDENTITY]
    text_format: Annotated[TextFormat, IDENTITY]


class SelectExemplarsInputs(NamedTuple):
    """Samples, and the model that they are of."""

    model: Model
    samples: ArtifactRef


class FewShotInputs(NamedTuple):
    """The model that answers, the training split, and the worked examples."""

    model: Model
    problems: ProblemsInput
    exemplars: ArtifactRef


class SelectShortestInputs(NamedTuple):
    """One collection or two of samples, and the model that they are of."""

    model: Model
    samples: ArtifactRef
    few_shot: ArtifactRef | None = None


class PrepareSelectedInputs(NamedTuple):
    """Selected samples, and the model that is trained on them."""

    model: Model
    selected: ArtifactRef


@stage("select_exemplars", version=1)
def select_exemplars(
    out: ArtifactWriter, inputs: SelectExemplarsInputs, config: SelectExemplarsConfig, workplace: Workplace
) -> Outcome:
    accounting: Counter[str] = Counter()
    rows = SAMPLES.rows(workplace.artifact(inputs.samples), GRADED_REASONING)
    chosen = concise.select_exemplars(rows, config, _length(workplace.model_dir(inputs.model)), accounting)
    with EXEMPLARS.write(out) as table:
        for row in chosen:
            table.add(row)
    longest = max((row["tokens"] for row in chosen), default=0)
    return Outcome(accounting=accounting, metrics={"exemplars": len(chosen), "longest_tokens": longest})


@stage("collect_few_shot_shard", version=4)
def collect_few_shot(out: ArtifactWriter, inputs: FewShotInputs, config: FewShotShard, workplace: Workplace) -> Outcome:
    problems = inputs.problems.open()
    given = list(EXEMPLARS.rows(workplace.artifact(inputs.exemplars)))

    def exemplars(problem: Problem) -> list[Exemplar]:
        return draw_exemplars(given, problem.question_id, problem.question, config.per_prompt, config.seed)

    block = problems.problems(config.start, config.stop)
    for problem in block:
        exemplars(problem)  # too few examples are said before the model is loaded
    return write_collection(
        out,
        inputs.model,
        block,
        config.sampling,
        workplace,
        benchmark=problems.name,
        text_format=config.text_format,
        exemplars=exemplars,
    )


@stage("select_shortest", version=1)
def select_shortest(
    out: ArtifactWriter, inputs: SelectShortestInputs, config: SelectShortestConfig, workplace: Workplace
) -> Outcome:
    accounting: Counter[str] = Counter()
    refs = {"samples": inputs.samples} | ({} if inputs.few_shot is None else {"few_shot": inputs.few_shot})
    collections = {source: SAMPLES.rows(workplace.artifact(ref), GRADED_REASONING) for source, ref in refs.items()}
    length = _length(workplace.model_dir(inputs.model))
    selected = shortest_correct(collections, config.keep, length, accounting)
    sources: Counter[str] = Counter()
    with SELECTED.write(out) as table:
        for row in selected:
            sources[row["source"]] += 1
            table.add(row)
    tokens = sum(row["tokens"] for row in selected)
    return Outcome(
        accounting=accounting,
        metrics={
            "questions": len({row["question_id"] for row in selected}),
            "mean_tokens": tokens / len(selected) if selected else 0.0,
            "by_source": dict(sources),
        },
    )


@stage("prepare_selected", version=1)
def prepare_selected(
    out: ArtifactWriter, inputs: PrepareSelectedInputs, config: PrepareFormat, workplace: Workplace
) -> Outcome:
    accounting: Counter[str] = Counter()
    model = ReadableModel.load(workplace.model_dir(inputs.model))
    rows = SELECTED.rows(workplace.artifact(inputs.selected))
    examples = selected_examples(rows, model, config.prepare, config.text_format, accounting)
    return write_examples(out, examples, accounting)


def _length(model_dir: Path) -> Callable[[str], int]:
    """Tokens of a text in the model whose samples are selected."""
    tokenizer = load_tokenizer(model_dir)
    return lambda text: len(encode(text, tokenizer))
