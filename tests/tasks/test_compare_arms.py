"""The stage `compare_arms`: page, tables, figures and numbers over finished evaluations of arms."""

from __future__ import annotations

import json
from operator import itemgetter
from statistics import mean, stdev
from typing import Any

import pytest
from scipy import stats

from latent_core.errors import InputError
from latent_core.evaluation.arm_comparisons import Matching, Pair
from latent_core.evaluation.condition import Condition, Kind, role_of
from latent_core.evaluation.following import Following
from latent_core.evaluation.statistics import Estimate
from latent_core.evaluation.summary import summarise
from latent_core.report.comparison import INTERVENTIONS
from latent_core.report.comparison_tables import (
    ARMS,
    BY_RATIO,
    COMPRESSIONS,
    LEVELS,
    read_sections,
    terminal_tables,
)
from latent_core.report.length_tables import BETWEEN, LENGTHS, LENGTHS_BY_RATIO
from latent_core.report.numbers import MINUS, decimal, p_value
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
    family = ComparisonFamily(title="Letters", question="Which letter is better?", pairs=(Pair("<b>|", "a"),))
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


def test_numbers_of_the_tables_can_be_computed_from_the_results_alone(bench: StageBench) -> None:
    """By other means than the stage's own: statistics, scipy and sums by hand, from what results.json holds."""
    made = _made(bench, _inputs(bench))
    results = json.loads(made.read_bytes(RESULTS))
    shown = read_sections(made.read_bytes(TABLE_MARKDOWN).decode())
    base, reference = results["untrained"], results["hypervolume_reference_tokens"]
    by_ratio = iter(shown[BY_RATIO].rows)
    curves = {}
    for arm, row in zip(results["arms"], shown[ARMS].rows, strict=True):
        points = []
        for item in arm["measures"]["at"]:
            accuracy, reasoning, output = (item[name]["each_seed"] for name in ("accuracy", "reasoning", "output"))
            gain = (mean(accuracy) - base["accuracy"]) / base["accuracy"]
            saved = (base["output"] - mean(output)) / base["output"]
            scores = [saved + weight * gain for weight in ((3, 5) if gain >= 0 else (5, 10))]
            points.append((item["ratio"], mean(accuracy), mean(reasoning), scores[0], _both(accuracy)))
            cells = next(by_ratio)
            assert cells[:3] == [arm["name"], f"{item['ratio']:g}", _both(accuracy)]
            lengths = [f"{decimal(mean(each))} ± {decimal(stdev(each))}" for each in (reasoning, output)]
            assert cells[5:8] == [lengths[0], f"{mean(reasoning) / points[0][2]:.2f}", lengths[1]]
            assert cells[8:10] == [f"{score:+.2f}".replace("-", MINUS) for score in scores]
        (_, high, full, *_), (_, low, half, *_) = points  # accuracy falls with the tokens
        best = max(points, key=itemgetter(3))
        assert row[3:6] == [*map(itemgetter(4), points), f"{best[3]:+.2f} at {best[0]:g}".replace("-", MINUS)]
        assert row[6].startswith(f"{((full - half) * low + (reference - full) * high) / reference:.3f} (")
        assert row[9] == f"{(1 - half / full) / 0.5:.2f}"
        curves[arm["name"]] = [high, low]
        for ratio, levels in arm["levels"].items():
            assert [arm["name"], ratio, *(_both(level["each_seed"]) for level in levels.values())] in shown[LEVELS].rows
    (family,) = results["families"]
    for matching, name in zip(("on_average", "at_ratios", "at_tokens"), Matching, strict=True):
        found = family[matching]
        p_values = [2 * stats.t.sf(abs(item["difference"]["value"]) / item["error"], item["freedom"]) for item in found]
        for item, p, row in zip(found, p_values, shown[f"Letters at {name}"].rows, strict=True):
            ranked = enumerate(sorted(p_values))
            adjusted = max(min(1.0, (len(found) - place) * other) for place, other in ranked if other <= p)
            assert (item["p"], item["adjusted_p"]) == pytest.approx((p, adjusted)) and row[6] == p_value(adjusted)
            value, reach = item["difference"]["value"], stats.t.isf(0.025, item["freedom"]) * item["error"]
            assert [item["difference"][end] for end in ("low", "high")] == pytest.approx([value - reach, value + reach])
            if name is Matching.RATIO:
                only, other_only = item["mcnemar"]["only_arm"], item["mcnemar"]["only_control"]
                assert value == pytest.approx(mean(item["each_seed"])) == pytest.approx((only - other_only) / 80)
                assert item["mcnemar"]["p"] == pytest.approx(stats.binomtest(only, only + other_only).pvalue)
    tests = [item["mcnemar"] for item in family["at_ratios"]]
    low, high = sorted(test["p"] for test in tests)
    assert [test["adjusted_p"] for test in tests] == pytest.approx(
        [min(1.0, 2 * low) if test["p"] == low else max(min(1.0, 2 * low), high) for test in tests], abs=0
    )
    gaps = [after - before for after, before in zip(curves["<b>|"], curves["a"], strict=True)]
    assert family["on_average"][0]["difference"]["value"] == pytest.approx(mean(gaps))  # lines from 50 to 100 tokens


def _both(each_seed: list[float]) -> str:
    return f"{100 * mean(each_seed):.1f} ± {100 * stdev(each_seed):.1f}"


def test_levels_are_in_the_order_of_seeds_however_they_were_asked_for(bench: StageBench) -> None:
    inputs = _inputs(bench)
    turned = inputs._replace(evaluations=dict(reversed(inputs.evaluations.items())))
    # Under another title, since the order of inputs is no part of the identity.
    calls = [compare_arms.call(CompareArms(title=title), found) for title, found in (("A", inputs), ("B", turned))]
    one, other = (json.loads(bench.perform(call).read_bytes(RESULTS))["arms"] for call in calls)
    again = {arm["name"]: arm["levels"] for arm in other}
    assert [list(arm["levels"].items()) for arm in one] == [list(again[arm["name"]].items()) for arm in one]


def _after_own(bench: StageBench, *right: int) -> dict[Condition, ArtifactRef]:
    """One of `right` a seed."""
    return {
        Condition("a", Kind.OWN_REASONING, 0.5, seed): _evaluation(bench, count, 50)
        for seed, count in enumerate(right, 1)
    }


def test_interventions_are_compared_with_the_same_arm_after_its_own_reasoning(bench: StageBench) -> None:
    inputs = _inputs(bench)
    made_again = _after_own(bench, 33, 31)
    swapped = {
        Condition("a", Kind.SWAPPED_REASONING, 0.5, 1): _swapped(bench, 2, 0.9),
        Condition("a", Kind.SWAPPED_REASONING, 0.5, 2): _swapped(bench, 4, 0.7),
    }
    made = _made(bench, inputs._replace(evaluations={**inputs.evaluations, **made_again, **swapped}))
    own, row = read_sections(made.read_bytes(TABLE_MARKDOWN).decode())[INTERVENTIONS].rows
    assert own == ["a", "own reasoning", "0.5", "77.5 ± 3.5", "80.0 ± 3.5", *["–"] * 6]
    assert row[:6] == ["a", "swapped reasoning", "0.5", "77.5 ± 3.5", "7.5 ± 3.5", "+72.5"]
    assert row[-2:] == ["80.0 ± 14.1", "better"]
    results = json.loads(made.read_bytes(RESULTS))
    first, found = results["interventions"]
    assert first["difference"] is None and found["difference"]["pair"] == {
        "arm": "a, own reasoning",
        "control": "a, swapped reasoning",
    }
    assert found["follows"]["mean"] == pytest.approx(0.8)
    assert found["difference"]["each_seed"] == pytest.approx([31 / 40, 27 / 40])
    low, high = (found["difference"]["difference"][end] for end in ("low", "high"))
    assert 0 < low < 0.725 < high
    assert results["corrections"][INTERVENTIONS] == {"method": "Holm", "alpha": 0.05, "comparisons": 1}


def test_intervention_without_the_arms_own_reasoning_beside_it_is_refused(bench: StageBench) -> None:
    inputs = _inputs(bench)
    swapped = {Condition("a", Kind.SWAPPED_REASONING, 0.5, seed): _swapped(bench, 2, 0.9) for seed in (1, 2)}
    with pytest.raises(InputError, match=r"interventions: a was not evaluated after its own reasoning at ratio 0\.5"):
        _made(bench, inputs._replace(evaluations={**inputs.evaluations, **swapped}))
    whole = {Condition("a", Kind.SWAPPED_REASONING, 1.0, seed): _swapped(bench, 2, 0.9) for seed in (1, 2)}
    beside = {**inputs.evaluations, **_after_own(bench, 33, 31), **swapped, **whole}
    with pytest.raises(InputError, match="interventions: a was not evaluated after its own reasoning at ratio 1;"):
        _made(bench, inputs._replace(evaluations=beside))


def test_families_say_what_they_answer_and_over_how_many_differences_they_are_corrected(bench: StageBench) -> None:
    made = _made(bench, _inputs(bench))
    results = json.loads(made.read_bytes(RESULTS))
    assert [family["question"] for family in results["families"]] == ["Which letter is better?"]
    counts = {title: corrected["comparisons"] for title, corrected in results["corrections"].items()}
    assert counts == {
        "Letters at equal tokens, on average": 1,
        "Letters at equal ratio": 2,
        "Letters at equal tokens": 1,
    }
    page = made.read_bytes(REPORT_HTML).decode()
    assert page.count("Which letter is better?") == 3
    assert page.count("over the 2 differences of this table") == 1


def test_correction_is_over_the_differences_that_could_be_compared(bench: StageBench) -> None:
    inputs = _inputs(bench)
    shorter = {Condition("a", Kind.RATIO, 0.3, seed): _evaluation(bench, 20, 30) for seed in (1, 2)}
    results = json.loads(
        _made(bench, inputs._replace(evaluations={**inputs.evaluations, **shorter})).read_bytes(RESULTS)
    )
    assert [row["adjusted_p"] is None for row in results["families"][0]["at_tokens"]] == [False, True]
    assert results["corrections"]["Letters at equal tokens"]["comparisons"] == 1


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


def test_arms_with_a_start_model_are_measured_by_its_lengths(bench: StageBench) -> None:
    """The trained arm keeps its own length at ratio 1, which is four fifths of the start model's."""
    tokens = {("start", 1.0): 100, ("start", 0.6): 60, ("start", 0.5): 50}
    tokens |= {("arm", 1.0): 80, ("arm", 0.6): 48, ("arm", 0.5): 40}
    right = {1.0: 40, 0.6: 20, 0.5: 30}
    evaluations = {Condition("base", Kind.UNTRAINED, 1.0): _evaluation(bench, 40, 100)}
    evaluations |= {
        Condition(name, Kind.RATIO, ratio, seed): _evaluation(bench, right[ratio], length)
        for (name, ratio), length in tokens.items()
        for seed in (1, 2)
    }
    inputs = _inputs(bench, evaluations=evaluations, trainings={}, compressions={}, measures={})
    config = CompareArms(
        title="t",
        families=(ComparisonFamily(title="Standard", pairs=(Pair("arm", "start"),), lengths=True),),
        resamples=1000,
        starts=(Pair("start", "start"), Pair("arm", "start")),
        trained_ratios=(1.0, 0.5),
    )
    made = bench.perform(compare_arms.call(config, inputs))
    shown = read_sections(made.read_bytes(TABLE_MARKDOWN).decode())
    start, arm = ({row[0]: row for row in shown[LENGTHS].rows}[name] for name in ("start", "arm"))
    assert start[2:4] == ["0", "0.000"] and start[6] == "1.000"
    assert arm[1:4] == ["start", "0", "0.200"] and arm[5:7] == ["0.200", "0.800"]
    at_half = next(row for row in shown[LENGTHS_BY_RATIO].rows if row[:2] == ["arm", "0.5"])
    assert at_half[2:5] == ["50.0", "40.0", "10.0"] and at_half[9] == "−25.0"
    assert [row[:6] for row in shown[BETWEEN].rows] == [
        [name, "0.6", "0.5 and 1", "50.0", "80.0", "−30.0"] for name in ("start", "arm")
    ]
    results = json.loads(made.read_bytes(RESULTS))
    assert [item["arm"] for item in results["lengths"]] == ["start", "arm"]
    kept = "Standard: lengths kept"
    assert [row[:3] for row in shown[kept].rows] == [["arm", "start", "+0.200"]]
    (difference,) = results["length_families"][0]["differences"]
    assert difference["pair"] == {"arm": "arm", "control": "start"} and difference["p"] == 0
    assert difference["difference"]["value"] == pytest.approx(0.2)
    assert results["corrections"][kept]["comparisons"] == 1
    page = made.read_bytes(REPORT_HTML).decode()
    assert LENGTHS in page and "below 0 the arm is nearer" in page
    assert {LENGTHS, BETWEEN, kept} <= {table.title.plain for table in terminal_tables(shown)}  # type: ignore[union-attr]


def test_comparison_without_start_models_says_nothing_of_lengths_asked_for(bench: StageBench) -> None:
    made = _made(bench, _inputs(bench))
    assert not {"lengths", "length_families"} & set(json.loads(made.read_bytes(RESULTS)))
    assert LENGTHS not in read_sections(made.read_bytes(TABLE_MARKDOWN).decode())
