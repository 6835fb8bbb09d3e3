"""The stage `compare_arms`: page, tables, figures and numbers over finished evaluations of arms."""

from __future__ import annotations

import json
from typing import Any

import pytest

from latent_core.errors import InputError
from latent_core.evaluation.arm_comparisons import Pair
from latent_core.evaluation.condition import Condition, Kind, role_of
from latent_core.evaluation.following import Following
from latent_core.evaluation.statistics import Estimate
from latent_core.evaluation.summary import summarise
from latent_core.report.comparison_tables import (
    ARMS,
    BY_RATIO,
    COMPRESSIONS,
    INTERVENTIONS,
    LEVELS,
    read_sections,
    terminal_tables,
)
from latent_core.store import Artifact, ArtifactRef
from tasks.compare_arms import (
    REPORT_HTML,
    RESULTS,
    TABLE_MARKDOWN,
    CompareArms,
    CompareArmsInputs,
    ComparisonFamily,
    compare_arms,
)
from tasks.tables import SAMPLES
from tests.support.stage_bench import StageBench, sample

QUESTIONS = 40


def _evaluation(bench: StageBench, right: int, tokens: int, questions: int = QUESTIONS) -> ArtifactRef:
    rows = _rows(right, tokens, questions)
    return bench.input("evaluate", {SAMPLES: rows}, metrics=summarise(rows).to_metrics())


def _rows(right: int, tokens: int, questions: int) -> list[dict[str, Any]]:
    """The first `right` questions are right; levels take turns."""
    return [
        sample(number, "r", "correct" if number < right else "wrong")
        | {"level": str(1 + number % 2), "tokens": tokens + 10, "reasoning_tokens": tokens, "latent_tokens": 0}
        for number in range(questions)
    ]


def _measured(bench: StageBench) -> ArtifactRef:
    kept = {"number_retention": 0.9, "answer_retention": 0.8, "broken_equations": None, "achieved_sd": 0.1, "scored": 4}
    rows = [
        kept | {"ratio": ratio, "texts": 5, "achieved_ratio": ratio, "recoverability": -ratio} for ratio in (1.0, 0.5)
    ]
    return bench.input("measure_compressions", metrics={"by_ratio": rows})


def _swapped(bench: StageBench, right: int, follows: float) -> ArtifactRef:
    rows = _rows(right, 50, QUESTIONS)
    share = Following(Estimate(follows, 0.0, 1.0), QUESTIONS, 0)
    return bench.input("intervene", {SAMPLES: rows}, metrics=summarise(rows).with_following(share).to_metrics())


def _inputs(bench: StageBench, **changed: Any) -> CompareArmsInputs:
    right = {("a", 1.0): (36, 38), ("a", 0.5): (30, 32), ("<b>|", 1.0): (36, 34), ("<b>|", 0.5): (8, 10)}
    evaluations = {Condition("base", Kind.UNTRAINED, 1.0): _evaluation(bench, 38, 100)}
    evaluations[Condition("base", Kind.TRUNCATE, 0.5)] = _evaluation(bench, 4, 50)
    for (arm, ratio), counts in right.items():
        for seed, count in enumerate(counts, 1):
            evaluations[Condition(arm, Kind.RATIO, ratio, seed)] = _evaluation(bench, count, round(100 * ratio))
    trainings = {
        f"{arm}-seed{seed}": bench.input("train", metrics={"trainable_parameters": 1234})
        for arm in ("a", "<b>|")
        for seed in (1, 2)
    }
    checked = bench.input(
        "contamination",
        accounting={"kept": 40, "equal_to_training": 3, "overlap_training": 0},
        metrics={"tested": 40, "training": 20, "procedural": 0},
    )
    texts, measured = bench.input("compress"), _measured(bench)
    compressions = {"a": texts, "<b>|": texts}
    return CompareArmsInputs(evaluations, trainings, compressions, {"a": measured}, checked)._replace(**changed)


def _made(bench: StageBench, inputs: CompareArmsInputs) -> Artifact:
    family = ComparisonFamily(title="Letters", pairs=(Pair("<b>|", "a"),))
    return bench.perform(compare_arms.call(CompareArms(title="A & B", families=(family,), resamples=2000), inputs))


def test_comparison_measures_every_arm_and_tests_every_pair(bench: StageBench) -> None:
    made = _made(bench, _inputs(bench))
    shown = read_sections(made.read_bytes(TABLE_MARKDOWN).decode())
    first, second = shown[ARMS].rows
    assert first[:5] == ["a", "1,234", "2", "92.5 ± 3.5", "77.5 ± 3.5"]
    assert second[0] == "<b>|" and second[-2:] == ["1.00", "1.00"]
    at_ratio = shown["Letters at equal ratio"].rows
    assert [row[2] for row in at_ratio] == ["ratio 1", "ratio 0.5"]
    assert (at_ratio[1][3], at_ratio[1][-1]) == ("−55.0", "worse")
    at_tokens = shown["Letters at equal tokens"].rows
    assert [row[2:4] for row in at_tokens] == [["50.0 tokens", "−55.0"]]
    assert [row[2:4] for row in shown["Letters at equal tokens, on average"].rows] == [["50.0 to 100 tokens", "−30.0"]]
    assert [row[:4] for row in shown[LEVELS].rows][:2] == [
        ["a", "1", "92.5 ± 3.5", "92.5 ± 3.5"],
        ["a", "0.5", "77.5 ± 3.5", "77.5 ± 3.5"],
    ]
    assert len(shown[BY_RATIO].rows) == 4 and INTERVENTIONS not in shown
    assert shown[COMPRESSIONS].rows[1] == ["a", "0.5", "5", "0.5", "-0.5", "4", "0.9", "0.8", "–"]
    assert [table.title.plain for table in terminal_tables(shown)] == [  # type: ignore[union-attr]
        ARMS,
        "Letters at equal tokens, on average",
        "Letters at equal ratio",
        "Letters at equal tokens",
    ]


def test_comparison_page_escapes_names_and_needs_nothing_else(bench: StageBench) -> None:
    page = _made(bench, _inputs(bench)).read_bytes(REPORT_HTML).decode()
    assert "<h1>A &amp; B</h1>" in page and "&lt;b&gt;|" in page and "<b>|" not in page
    assert page.count("<svg") == 3 and "http://" not in page.replace("http://www.w3.org", "")
    assert "of 40 test questions, 3 are also among the 20 training questions" in page
    assert "accuracy 0 and 125 reasoning tokens" in page


def test_comparison_results_hold_all_numbers_with_their_evaluations(bench: StageBench) -> None:
    inputs = _inputs(bench)
    made = _made(bench, inputs)
    results = json.loads(made.read_bytes(RESULTS))
    assert results["fingerprints"] == {
        role: f"{parent.stage}/{parent.fingerprint}" for role, parent in made.manifest.content.parents.items()
    }
    assert set(map(role_of, inputs.evaluations)) < set(results["fingerprints"])
    arm = results["arms"][0]
    assert (arm["name"], arm["seeds"], arm["measures"]["at"][1]["accuracy"]["each_seed"]) == ("a", [1, 2], [0.75, 0.8])
    assert arm["levels"]["0.5"]["1"]["mean"] == pytest.approx(0.775)
    difference = results["families"][0]["at_ratios"][1]
    assert difference["verdict"] == "worse" and difference["adjusted"]["high"] < 0
    assert difference["mcnemar"]["only_arm"] == 0 and difference["mcnemar"]["only_control"] == 44
    assert results["config"]["resamples"] == 2000 and results["budgets"] == [50.0]
    assert results["baselines"][1]["condition"] == "truncate 0.5"


def test_interventions_are_compared_with_the_same_arm_after_its_own_reasoning(bench: StageBench) -> None:
    inputs = _inputs(bench)
    swapped = {
        Condition("a", Kind.SWAPPED_REASONING, 0.5, 1): _swapped(bench, 2, 0.9),
        Condition("a", Kind.SWAPPED_REASONING, 0.5, 2): _swapped(bench, 4, 0.7),
    }
    made = _made(bench, inputs._replace(evaluations={**inputs.evaluations, **swapped}))
    (row,) = read_sections(made.read_bytes(TABLE_MARKDOWN).decode())[INTERVENTIONS].rows
    assert row[:6] == ["a", "swapped reasoning", "0.5", "77.5 ± 3.5", "7.5 ± 3.5", "−70.0"]
    assert row[-2:] == ["80.0 ± 14.1", "worse"]
    (found,) = json.loads(made.read_bytes(RESULTS))["interventions"]
    assert found["follows"]["mean"] == pytest.approx(0.8) and found["difference"]["each_seed"] == pytest.approx(
        [-0.7] * 2
    )


def test_comparison_of_other_questions_names_the_evaluation(bench: StageBench) -> None:
    inputs = _inputs(bench)
    odd = {**inputs.evaluations, Condition("a", Kind.RATIO, 0.5, 2): _evaluation(bench, 3, 50, QUESTIONS - 1)}
    with pytest.raises(InputError, match=r"a, seed 2, ratio 0\.5 holds other questions"):
        _made(bench, inputs._replace(evaluations=odd))


def test_comparison_again_gives_the_same_bytes(bench: StageBench) -> None:
    inputs = _inputs(bench)
    family = ComparisonFamily(title="Letters", pairs=(Pair("<b>|", "a"),))
    calls = [compare_arms.call(CompareArms(title=title, families=(family,)), inputs) for title in ("A", "B")]
    one, other = (json.loads(bench.perform(call).read_bytes(RESULTS)) for call in calls)
    assert one["families"] == other["families"] and one["arms"] == other["arms"]
