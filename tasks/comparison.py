"""Stage `compare_evaluations`: what became of a model's conditions since an earlier evaluation, and which fell."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

from pydantic import Field

from latent_core.config.base import IDENTITY, StageConfig
from latent_core.evaluation.regression import ALPHA, Judgement, judge
from latent_core.store import Artifact, ArtifactWriter
from tasks.evaluations import scores_of
from tasks.stage import Inputs, Outcome, Stage, Workplace

COMPARISON_JSON, COMPARISON_MARKDOWN = "comparison.json", "comparison.md"
BEFORE, AFTER = "before/", "after/"  # and the end of the evaluation's role in its report, which names its condition


class CompareEvaluations(StageConfig):
    """When a difference counts."""

    alpha: Annotated[float, IDENTITY, Field(gt=0, lt=1)] = ALPHA
    """How often, of comparisons of equals, any condition is said to differ."""


def compare_evaluations(
    out: ArtifactWriter, inputs: Inputs, config: CompareEvaluations, workplace: Workplace
) -> Outcome:
    conditions = [role.removeprefix(BEFORE) for role in inputs.roles() if role.startswith(BEFORE)]
    pairs = {
        name: (scores_of(inputs.artifact(BEFORE + name)), scores_of(inputs.artifact(AFTER + name)))
        for name in conditions
    }
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


COMPARE_EVALUATIONS = Stage("compare_evaluations", 1, compare_evaluations, is_shown=True)
