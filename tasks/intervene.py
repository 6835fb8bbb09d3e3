"""Stage `intervene`: a finished evaluation's questions again, answered after their reasoning was replaced."""

from __future__ import annotations

import time
from typing import Annotated, NamedTuple

from latent_core.config.base import IDENTITY, StageConfig
from latent_core.config.evaluate import Intervention
from latent_core.config.sampling import SamplingConfig
from latent_core.evaluation.following import following
from latent_core.evaluation.interventions import FOLLOWS, answer_opening, intervened, with_columns
from latent_core.evaluation.scores import COLUMNS
from latent_core.evaluation.summary import summarise
from latent_core.generate.completions import sample_schema
from latent_core.generate.vllm_engine import context_of
from latent_core.store import ArtifactRef, ArtifactWriter
from tasks.inputs import Model, ProblemsInput
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import SAMPLES
from tasks.workers.engines import served, usage_record, used, warm_engine
from tasks.workers.warm import warm_readable

_READ = ("question_id", "sample_index", "question", "gold", "level", "prompt_token_ids", "output_token_ids")


class InterveneCondition(StageConfig):
    """What the reasoning is replaced by, and how the answer is drawn."""

    intervention: Annotated[Intervention, IDENTITY]
    sampling: Annotated[SamplingConfig, IDENTITY]
    """Its seed draws random ids and the order of a swap."""


class InterveneInputs(NamedTuple):
    """A finished evaluation, its model, and its test split."""

    evaluation: ArtifactRef
    model: Model
    problems: ProblemsInput


@stage("intervene", version=1, shown=True)
def intervene(
    out: ArtifactWriter, inputs: InterveneInputs, config: InterveneCondition, workplace: Workplace
) -> Outcome:
    problems = inputs.problems.open()
    served_model = served(workplace, inputs.model, config.sampling)
    model = warm_readable(served_model.model_dir, inputs.model.fingerprint)
    rows = list(SAMPLES.rows(workplace.artifact(inputs.evaluation), _READ))
    engine = warm_engine(served_model, inputs.model.fingerprint, config.sampling)
    started, used_before = time.monotonic(), used(engine)
    schema, columns = sample_schema(), [*COLUMNS, "answer"]
    is_swap = config.intervention is Intervention.SWAP
    if is_swap:
        schema, columns = with_columns(schema), [*columns, FOLLOWS]
    found, generated, unanswered = [], 0, 0
    given = len(answer_opening(model))  # tokens after the reasoning that the model did not write itself
    with SAMPLES.write(out, schema) as table:
        for row in intervened(
            rows,
            config.intervention,
            model,
            engine,
            config.sampling,
            benchmark=problems.name,
            context=context_of(served_model.model_dir),
            progress=lambda done, tokens: workplace.progress(done, len(rows), tokens),
        ):
            table.add(row)
            found.append({name: row[name] for name in columns})
            answered = row["tokens"] - row["reasoning_tokens"] - given
            generated, unanswered = generated + answered, unanswered + (answered == 0)
    summary = summarise(found)
    if is_swap:
        summary = summary.with_following(following([row[FOLLOWS] for row in found]))
    record = {"tokens_per_second": generated / (time.monotonic() - started)} | usage_record(engine, used_before)
    return Outcome(
        accounting={"kept": len(found), "no_room_to_answer": unanswered}, metrics=summary.to_metrics(), record=record
    )
