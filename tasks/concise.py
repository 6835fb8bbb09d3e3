"""Stages of self-training: `select_exemplars`, `collect_few_shot` (sharded), `select_shortest`, `prepare_selected`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Annotated

from latent_core import prompts
from latent_core.benchmarks.problem import Problem
from latent_core.config.base import IDENTITY, StageConfig
from latent_core.config.concise import PrepareSelectedConfig, SelectExemplarsConfig, SelectShortestConfig
from latent_core.config.prompting import TextFormat
from latent_core.config.sampling import SamplingConfig
from latent_core.exemplars import Exemplar
from latent_core.generate.completions import ReadableModel, graded_completions
from latent_core.methods.concise import (
    SAMPLE_COLUMNS,
    draw_exemplars,
    select_exemplars,
    selected_examples,
    selected_schema,
    shortest_correct,
)
from latent_core.models.family import load_tokenizer
from latent_core.store import ArtifactWriter
from tasks.collect import SAMPLES, write_collection
from tasks.prepare import write_examples
from tasks.stage import Inputs, Outcome, Stage, Workplace
from tasks.workers.engines import served, warm_engine
from tasks.workers.warm import warm_readable

EXEMPLARS, SELECTED = "exemplars.parquet", "selected.parquet"


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


def choose_exemplars(
    out: ArtifactWriter, inputs: Inputs, config: SelectExemplarsConfig, workplace: Workplace
) -> Outcome:
    accounting: Counter[str] = Counter()
    rows = inputs.artifact("samples").rows_of(SAMPLES, SAMPLE_COLUMNS)
    chosen = select_exemplars(rows, config, _length(inputs), accounting)
    with out.table(EXEMPLARS, selected_schema()) as table:
        for row in chosen:
            table.add(row)
    longest = max((row["tokens"] for row in chosen), default=0)
    return Outcome(accounting=accounting, metrics={"exemplars": len(chosen), "longest_tokens": longest})


def collect_few_shot(out: ArtifactWriter, inputs: Inputs, config: FewShotShard, workplace: Workplace) -> Outcome:
    problems, model = inputs.problems("problems"), served(inputs, "model", config.sampling)
    exemplars = list(inputs.artifact("exemplars").rows_of(EXEMPLARS))

    def shown(problem: Problem) -> list[Exemplar]:
        return draw_exemplars(exemplars, problem.question_id, problem.question, config.per_prompt, config.seed)

    block = problems.problems(config.start, config.stop)
    for problem in block:
        shown(problem)  # too few examples are said before the model is loaded
    asked = time.monotonic()
    engine = warm_engine(model, inputs.fingerprint("model"), config.sampling)
    loading = time.monotonic() - asked
    total = len(block) * config.sampling.samples
    completions = graded_completions(
        block,
        warm_readable(model.model_dir, inputs.fingerprint("model")),
        engine,
        config.sampling,
        benchmark=problems.name,
        text_format=config.text_format,
        exemplars=shown,
        progress=lambda done, generated: workplace.progress(done, total, generated),
    )
    return write_collection(out, completions, config.sampling, len(block), engine, loading)


def select_shortest(out: ArtifactWriter, inputs: Inputs, config: SelectShortestConfig, workplace: Workplace) -> Outcome:
    accounting: Counter[str] = Counter()
    roles: list[str] = [role for role in ("samples", "few_shot") if role in inputs.roles()]
    collections = {role: inputs.artifact(role).rows_of(SAMPLES, SAMPLE_COLUMNS) for role in roles}
    selected = shortest_correct(collections, config.keep, _length(inputs), accounting)
    sources: Counter[str] = Counter()
    with out.table(SELECTED, selected_schema()) as table:
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


def prepare_selected(out: ArtifactWriter, inputs: Inputs, config: PrepareFormat, workplace: Workplace) -> Outcome:
    accounting: Counter[str] = Counter()
    model = ReadableModel.load(inputs.model_dir("model"))
    rows = inputs.artifact("selected").rows_of(SELECTED)
    examples = selected_examples(rows, model, config.prepare, config.text_format, accounting)
    return write_examples(out, examples, accounting)


def _length(inputs: Inputs) -> Callable[[str], int]:
    """Tokens of a text in the model whose samples are selected."""
    tokenizer = load_tokenizer(inputs.model_dir("model"))
    return lambda text: len(prompts.encode(text, tokenizer))


SELECT_EXEMPLARS = Stage("select_exemplars", 1, choose_exemplars)
COLLECT_FEW_SHOT = Stage("collect_few_shot_shard", 4, collect_few_shot)
SELECT_SHORTEST = Stage("select_shortest", 1, select_shortest)
PREPARE_SELECTED = Stage("prepare_selected", 1, prepare_selected)
