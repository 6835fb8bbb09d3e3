"""Stage `grpo`: reinforcement learning of a model on training questions, with every rollout it learned from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from latent_core.config.grpo import GrpoConfig
from latent_core.rl.curves import STEP_COLUMNS, rollout_steps, with_diagnosis
from latent_core.rl.rollouts.length_control import CURVE_COLUMNS, length_curve
from latent_core.rl.rollouts.problem_rollouts import rollout_schema
from latent_core.store import ArtifactRef, ArtifactWriter
from tasks.inputs import Model, ProblemsInput
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import REFERENCES
from tasks.workers.training import checkpoints_of, training_progress
from tasks.workers.warm import cool_down

ROLLOUTS = "rollouts.parquet"
_ENDS = 10  # the first and the last tenth of the steps are what the summary compares


class GrpoInputs(NamedTuple):
    """The model to start from, the training split, and for a length term the start model's lengths on it."""

    model: Model
    problems: ProblemsInput
    references: ArtifactRef | None = None


@stage("grpo", version=3, shown=True)
def train_policy(out: ArtifactWriter, inputs: GrpoInputs, config: GrpoConfig, workplace: Workplace) -> Outcome:
    from latent_core.rl.training.grpo import reinforce

    cool_down()  # a warm vLLM engine holds nine tenths of a GPU
    source = inputs.problems.open()
    problems = source.problems(0, config.questions)
    with out.directory("weights") as directory:
        result = reinforce(
            workplace.model_dir(inputs.model),
            problems,
            config,
            benchmark=source.name,
            out_dir=directory,
            checkpoint_dir=checkpoints_of(workplace),
            references=_references(inputs, workplace),
            progress=training_progress(workplace),
        )
    verdicts: Counter[str] = Counter()
    accounting: Counter[str] = Counter()
    summary = _Summary(config.steps)
    under_length: list[dict[str, Any]] = []
    diagnosed: list[dict[str, Any]] = []
    with out.table(ROLLOUTS, rollout_schema(length=config.length.is_on)) as table:
        for row in summary.watched(result.rollouts):
            if config.length.is_on:
                under_length.append({name: row[name] for name in CURVE_COLUMNS})
            if config.diagnose_every is not None or config.rollout.is_corrected:
                diagnosed.append({name: row[name] for name in STEP_COLUMNS})
            verdicts[row["verdict"]] += 1
            accounting["kept" if row["taught"] else "no_signal"] += 1
            table.add(row)
    samples = config.rollout.samples
    return Outcome(
        accounting=accounting,
        metrics={
            "verdicts": dict(verdicts),
            **summary.metrics(),
            **({"length": list(length_curve(under_length, samples))} if under_length else {}),
            **({"steps": with_diagnosis(rollout_steps(diagnosed, samples), result.diagnosis)} if diagnosed else {}),
            "parameters": result.total_parameters,
            "trainable_parameters": result.trainable_parameters,
        },
        record={"curve": result.curve, "resumed_from_step": result.resumed_from_step},
    )


def _references(inputs: GrpoInputs, workplace: Workplace) -> dict[str, float] | None:
    """The start model's length by question, where the training has been given them."""
    if inputs.references is None:
        return None
    rows = REFERENCES.rows(workplace.artifact(inputs.references), ("question_id", "tokens"))
    return {row["question_id"]: row["tokens"] for row in rows}


class _Summary:
    """Means over the rollouts of the first and of the last steps: what training changed, as training saw it."""

    _COLUMNS = ("reward", "tokens", "reasoning_tokens")

    def __init__(self, steps: int) -> None:
        length = max(1, steps // _ENDS)
        self._ends = {"first": range(length), "last": range(steps - length, steps)}
        self._sums: dict[str, Counter[str]] = {name: Counter() for name in self._ends}

    def watched(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        for row in rows:
            for name, steps in self._ends.items():
                if row["step"] in steps:
                    self._sums[name].update(
                        rows=1, correct=row["verdict"] == "correct", **{key: row[key] for key in self._COLUMNS}
                    )
            yield row

    def metrics(self) -> dict[str, dict[str, float]]:
        return {
            name: {key: total[key] / total["rows"] for key in ("correct", *self._COLUMNS)}
            for name, total in self._sums.items()
            if total["rows"]
        }
