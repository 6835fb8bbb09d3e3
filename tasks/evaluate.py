"""Stage `evaluate`: one model under one condition on the test split; per-sample rows and a summary.

Every condition is a stage of its own, so that a new ratio computes one evaluation. Where `evaluate.joined` says so,
those of a model that are missing are computed together (`tasks.workers.joined`): one start of the engine, and passes
over all of them, question by question, so that its prefix cache gives the question to every ratio, and its slots stay
full until the last condition ends. `bench/joined_ratios.py` measures what that saves. Each worker takes a part.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import Field, field_validator

from latent_core.benchmarks.noise import KINDS, MARKED, NOISE_VERSION, noisy_question
from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, StageConfig
from latent_core.config.evaluate import Metric, Metrics
from latent_core.config.prompting import Prompting, TextFormat, with_exemplar_set
from latent_core.config.ratio_form import AskedRatio
from latent_core.config.sampling import SamplingConfig
from latent_core.evaluation.echo import echoed_ratios
from latent_core.evaluation.logprob import COLUMN, with_columns, with_logprob, without_end
from latent_core.evaluation.summary import Summary, summarise
from latent_core.generate.completions import ECHOED, graded_completions, sample_schema, truncated_row
from latent_core.generate.joined import SharedEngine
from latent_core.store import ArtifactRef, ArtifactWriter
from tasks.inputs import Model, ProblemsInput
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import SAMPLES
from tasks.workers.engines import beside_scorer, served, usage_record, used, waited_seconds, warm_engine, warm_scorer
from tasks.workers.warm import warm_readable

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]
# How the end marks of noise are read; raised when they become other ids. 2: the model's own tokens, not their spelling.
_NOISE_MARKS = 2


class EvaluateCondition(StageConfig):
    """What is asked of the model, and of how many questions."""

    sampling: Annotated[SamplingConfig, IDENTITY]
    questions: Annotated[int, IDENTITY]
    ratio: Annotated[AskedRatio, IDENTITY]
    prompting: Annotated[Prompting, IDENTITY] = Prompting.RATIO
    text_format: Annotated[TextFormat, IDENTITY, OMITTED_AT_DEFAULT] = TextFormat.BOXED
    metrics: Annotated[Metrics, IDENTITY, OMITTED_AT_DEFAULT] = ()
    noise: Annotated[str | None, IDENTITY, OMITTED_AT_DEFAULT] = None
    """A kind of noise that every question carries (`latent_core.benchmarks.noise`); unset, none."""

    def identity(self) -> dict[str, Any]:
        """Worked examples that a way of prompting shows, and the texts of noise, are part of it."""
        noise: dict[str, Any] = {} if self.noise is None else {"noise_version": NOISE_VERSION}
        if self.noise in MARKED:
            noise |= {"noise_marks": _NOISE_MARKS}
        return with_exemplar_set(super().identity() | noise, self.prompting)

    @field_validator("noise")
    @classmethod
    def _noise_is_known(cls, kind: str | None) -> str | None:
        if kind is not None and kind not in KINDS:
            raise ValueError(f"noise: unknown kind {kind!r}; choose one of {', '.join(KINDS)}")
        return kind


class TruncateCondition(StageConfig):
    """Where another evaluation's outputs are cut: at this share of their mean length."""

    ratio: Annotated[float, IDENTITY, Field(gt=0, le=1)]


class EvaluateInputs(NamedTuple):
    """The model, and the test split."""

    model: Model
    problems: ProblemsInput


class TruncateInputs(NamedTuple):
    """A finished evaluation, its model, and its test split."""

    evaluation: ArtifactRef
    model: Model
    problems: ProblemsInput


@stage("evaluate", version=4, shown=True)
def evaluate(out: ArtifactWriter, inputs: EvaluateInputs, config: EvaluateCondition, workplace: Workplace) -> Outcome:
    problems = inputs.problems.open()
    model = served(workplace, inputs.model, config.sampling)
    is_scored = Metric.LOGPROB in config.metrics
    sampling = beside_scorer(config.sampling) if is_scored else config.sampling
    engine = warm_engine(model, inputs.model.fingerprint, sampling)
    total = config.questions * config.sampling.samples
    started, used_before = time.monotonic(), used(engine)
    readable = warm_readable(model.model_dir, inputs.model.fingerprint)
    asked, tails = problems.problems(0, config.questions), dict[str, str]()
    if config.noise is not None:
        mark = readable.family.end_of_turn
        noisy = [noisy_question(one.question, config.noise, one.question_id, mark) for one in asked]
        asked = [replace(problem, question=one.text) for problem, one in zip(asked, noisy, strict=True)]
        tails = {problem.question_id: one.tail for problem, one in zip(asked, noisy, strict=True)}
    completions: Iterable[Row] = graded_completions(
        asked,
        readable,
        engine,
        config.sampling,
        benchmark=problems.name,
        ratio=config.ratio,
        prompting=config.prompting,
        text_format=config.text_format,
        tail=lambda problem: tails.get(problem.question_id, ""),
        progress=lambda done, generated: workplace.progress(done, total, generated),
    )
    schema = sample_schema(logprobs=config.sampling.logprobs, echoed=readable.family.echoes)
    if is_scored:
        # The scorer reads whole models: an adapter that vLLM serves beside its base is merged for it.
        scorer = warm_scorer(workplace.model_dir(inputs.model), inputs.model.fingerprint, config.text_format)
        schema, completions = with_columns(schema), with_logprob(completions, scorer)
    rows = _written(out, schema, completions)
    summary = replace(summarise(rows), echoed=echoed_ratios(rows))
    seconds = time.monotonic() - started - waited_seconds(engine)
    record = {"tokens_per_second": summary.tokens.value * len(rows) / seconds} | usage_record(engine, used_before)
    if isinstance(engine, SharedEngine):
        # Of a joined pass each condition is charged its share: all together add up to about what the pass took.
        record |= {"seconds": seconds, "joined": engine.conditions}
    return Outcome(accounting={"kept": len(rows)}, metrics=summary.to_metrics(), record=record)


@stage("truncate", version=4, shown=True)
def truncate(out: ArtifactWriter, inputs: TruncateInputs, config: TruncateCondition, workplace: Workplace) -> Outcome:
    """What the model had reached by then (TokenSkip §5.1, "truncation"): no generation, the rows are graded again."""
    evaluation = workplace.artifact(inputs.evaluation)
    problems = inputs.problems.open()
    model = warm_readable(workplace.model_dir(inputs.model), inputs.model.fingerprint)
    summary = Summary.from_metrics(evaluation.manifest.content.metrics)
    limit = max(1, round(config.ratio * summary.tokens.value))
    schema = sample_schema(echoed=model.family.echoes)
    if summary.logprob is not None:
        schema = with_columns(schema)

    def cut(row: Row) -> Row:
        shorter = truncated_row(row, limit, model, benchmark=problems.name)
        if summary.logprob is None:
            return shorter
        # The score is of the reasoning: whole, it is scored as before; cut, it never ends.
        kept = row | shorter
        return kept if model.family.think_end_id in kept["output_token_ids"] else without_end(kept)

    rows = _written(out, schema, (cut(row) for row in SAMPLES.rows(evaluation)))
    return Outcome(accounting={"kept": len(rows)}, metrics=summarise(rows).to_metrics())


def _written(out: ArtifactWriter, schema: pa.Schema, completions: Iterable[Row]) -> list[Row]:
    """Write the completions, and return what the summary needs of them."""
    columns = [name for name in _SUMMARY_COLUMNS if name in schema.names]
    rows = []
    with SAMPLES.write(out, schema) as table:
        for row in completions:
            table.add(row)
            rows.append({name: row[name] for name in columns})
    return rows


_SUMMARY_COLUMNS = (
    "question_id",
    "sample_index",
    "level",
    "verdict",
    "answer",
    "tokens",
    "reasoning_tokens",
    "latent_tokens",
    COLUMN,
    ECHOED,
)
