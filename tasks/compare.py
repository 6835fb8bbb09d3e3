"""Stage `compare_evaluations`: what became of a model's conditions since an earlier evaluation, and which fell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, NamedTuple

from pydantic import Field

from latent_core.config.base import IDENTITY, StageConfig
from latent_core.evaluation.condition import Condition, role_ending
from latent_core.evaluation.regression import ALPHA, Judgement, judge
from latent_core.report.names import condition_name
from latent_core.store import Artifact, ArtifactRef, ArtifactWriter
from tasks.evaluations import scores_of
from tasks.inputs import Input
from tasks.stage import Outcome, Workplace, stage

COMPARISON_JSON, COMPARISON_MARKDOWN = "comparison.json", "comparison.md"


class CompareEvaluations(StageConfig):
    """When a difference counts."""

    alpha: Annotated[float, IDENTITY, Field(gt=0, lt=1)] = ALPHA
    """How often, of comparisons of equals, any condition is said to differ."""


class CompareEvaluationsInputs(NamedTuple):
    """Two evaluations of each condition, all of one model's versions."""

    before: Mapping[Condition, ArtifactRef]
    after: Mapping[Condition, ArtifactRef]

    def roles(self) -> dict[str, Input]:
        before = {f"before/{role_ending(condition)}": ref for condition, ref in self.before.items()}
        after = {f"after/{role_ending(condition)}": ref for condition, ref in self.after.items()}
        return {**before, **after}


@stage("compare_evaluations", version=3, shown=True)
def compare_evaluations(
    out: ArtifactWriter, inputs: CompareEvaluationsInputs, config: CompareEvaluations, workplace: Workplace
) -> Outcome:
    pairs = {}
    for condition, ref in inputs.before.items():
        before, after = workplace.artifact(ref), workplace.artifact(inputs.after[condition])
        pairs[condition_name(condition)] = (scores_of(before), scores_of(after))
    judged = judge(pairs, alpha=config.alpha)
    with out.open(COMPARISON_JSON) as file:
        rows = [asdict(item) | {"fell": item.fell, "line": item.line()} for item in judged]
        file.write(json.dumps(rows, indent=1).encode())
    with out.open(COMPARISON_MARKDOWN) as file:
        file.write(_table(judged).encode())
    return Outcome(accounting={"kept": len(judged)}, metrics={"fell": sum(item.fell for item in judged)})


def fallen(comparison: Artifact) -> list[str]:
    """The conditions that fell in a finished comparison, the surest first, each in a line."""
    rows = json.loads(comparison.read_bytes(COMPARISON_JSON))
    return [row["line"] for row in sorted(rows, key=lambda row: float(row["p_value"])) if row["fell"]]


def _table(judged: list[Judgement]) -> str:
    lines = ["| Condition | Questions | Before | After | Points | p | Held against | |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|---|")
    for item in judged:
        change = item.comparison.accuracy
        cells = [item.condition, str(item.comparison.questions), f"{item.before:.1%}", f"{item.after:.1%}"]
        cells += [f"{100 * change.value:+.1f} ({100 * change.low:+.1f} to {100 * change.high:+.1f})"]
        cells += [f"{item.p_value:.2g}", f"{item.threshold:.2g}", "fell" if item.fell else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
