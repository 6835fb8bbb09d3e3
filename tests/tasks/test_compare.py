"""The stage `compare_evaluations`: which conditions fell, and by how much."""

from __future__ import annotations

import json

from latent_core.store import ArtifactRef
from tasks.compare import (
    COMPARISON_JSON,
    COMPARISON_MARKDOWN,
    CompareEvaluations,
    CompareEvaluationsInputs,
    compare_evaluations,
    fallen,
)
from tasks.tables import SAMPLES
from tests.support.stage_bench import StageBench, sample

QUESTIONS = 60


def _evaluation(bench: StageBench, right: int) -> ArtifactRef:
    rows = [
        sample(number, "r", "correct" if number < right else "wrong")
        | {"tokens": 10, "reasoning_tokens": 5, "latent_tokens": 0}
        for number in range(QUESTIONS)
    ]
    return bench.input("evaluate", {SAMPLES: rows})


def test_compare_names_the_condition_that_fell_and_not_the_one_that_stayed(bench: StageBench) -> None:
    before = {"ratio 1": _evaluation(bench, 50), "ratio 0.5": _evaluation(bench, 40)}
    after = {"ratio 0.5": _evaluation(bench, 20), "ratio 1": _evaluation(bench, 49)}
    made = bench.perform(compare_evaluations.call(CompareEvaluations(), CompareEvaluationsInputs(before, after)))
    assert set(made.manifest.content.parents) == {
        "before/ratio 1",
        "before/ratio 0.5",
        "after/ratio 1",
        "after/ratio 0.5",
    }
    rows = {row["condition"]: row for row in json.loads(made.read_bytes(COMPARISON_JSON))}
    assert (rows["ratio 1"]["fell"], rows["ratio 0.5"]["fell"]) == (False, True)
    assert made.manifest.content.metrics == {"fell": 1} and made.manifest.content.accounting == {"kept": 2}
    (line,) = fallen(made)
    assert line == rows["ratio 0.5"]["line"]
    assert "| ratio 0.5 | 60 | 66.7% | 33.3% | -33.3" in made.read_bytes(COMPARISON_MARKDOWN).decode()
