"""Summaries and comparisons against values computed by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from latent_core.errors import InputError
from latent_core.evaluation.echo import echoed_ratios
from latent_core.evaluation.following import following
from latent_core.evaluation.summary import HISTOGRAM_EDGES, Summary, compare, summarise


def row(question: int, verdict: str = "correct", tokens: int = 100, **changes: Any) -> dict[str, Any]:
    return {
        "question_id": f"q{question}",
        "sample_index": 0,
        "level": None,
        "verdict": verdict,
        "tokens": tokens,
        "reasoning_tokens": tokens // 2,
        "latent_tokens": 0,
    } | changes


def test_summarise_four_questions_matches_hand_computed_numbers() -> None:
    summary = summarise(
        [
            row(0, "correct", 100, latent_tokens=50),
            row(1, "correct", 200),
            row(2, "truncated", 400),
            row(3, "unparsed", 300),
        ]
    )
    assert (summary.questions, summary.samples) == (4, 4)
    assert summary.accuracy.value == 0.5
    # Wilson for 2 of 4, z = 1.959964: centre 0.5, reach z / (1 + z²/4) · √(1/16 + z²/64) = 0.349961
    assert summary.accuracy.low == pytest.approx(0.150039, abs=1e-6)
    assert summary.accuracy.high == pytest.approx(0.849961, abs=1e-6)
    assert summary.tokens.value == 250
    assert 100 <= summary.tokens.low < 250 < summary.tokens.high <= 400
    assert summary.token_quantiles == pytest.approx({5: 115, 25: 175, 50: 250, 75: 325, 95: 385})
    assert summary.reasoning_tokens == 125
    assert summary.correct_tokens == 150
    assert (summary.truncated_rate, summary.unparsed_rate) == (0.25, 0.25)
    assert summary.latent_share == 50 / 500
    assert summary.efficiency == 2.0
    assert summary.outcomes == {"correct": 2, "wrong": 0, "unparsed": 1, "truncated": 1}


def test_summarise_reads_a_stream_only_once() -> None:
    def stream() -> Iterator[dict[str, Any]]:
        yield row(0)
        yield row(1, "wrong")

    assert summarise(stream()) == summarise([row(0), row(1, "wrong")])


def test_summarise_several_samples_counts_every_question_once() -> None:
    rows = [row(0, "correct", 100, sample_index=index) for index in range(3)] + [row(1, "wrong", 300)]
    summary = summarise(rows)
    assert (summary.questions, summary.samples) == (2, 4)
    assert summary.accuracy.value == 0.5  # 3 of 4 samples, but 1 of 2 questions
    assert summary.tokens.value == 200
    assert (summary.accuracy.low, summary.accuracy.high) == (0.0, 1.0)


def test_summarise_all_correct_with_several_samples_keeps_an_interval() -> None:
    summary = summarise([row(question, sample_index=index) for question in range(5) for index in range(4)])
    assert summary.accuracy.value == summary.accuracy.high == 1.0
    # Wilson for 5 of 5 questions: 1 / (1 + z²/5); 20 independent samples would claim 0.839
    assert summary.accuracy.low == pytest.approx(0.565518, abs=1e-6)


def test_summarise_per_level_counts_unlabelled_questions_too() -> None:
    levels = summarise(
        [row(0, level="Level 2"), row(1, "wrong", level="Level 1"), row(2, level="Level 1"), row(3, "wrong")]
    ).levels
    assert list(levels) == ["Level 1", "Level 2", "unlabelled"]
    assert levels["Level 1"][:3] == (2, 2, 0.5)
    assert levels["Level 2"].accuracy == 1.0
    assert levels["unlabelled"].accuracy == 0.0


def test_summarise_without_levels_has_no_levels() -> None:
    assert summarise([row(0)]).levels == {}


def test_summarise_histogram_puts_each_length_between_its_edges() -> None:
    lengths = [0, 7, 8, 100, 65_536, 1_000_000]
    histogram = summarise([row(index, tokens=length) for index, length in enumerate(lengths)]).histogram
    assert len(histogram) == len(HISTOGRAM_EDGES)
    assert sum(histogram) == len(lengths)
    assert (histogram[0], histogram[1], histogram[-1]) == (2, 1, 2)
    (place,) = [place for place, count in enumerate(histogram) if count and 1 < place < len(histogram) - 1]
    assert HISTOGRAM_EDGES[place] <= 100 < HISTOGRAM_EDGES[place + 1]


def test_summarise_empty_outputs_leaves_undefined_numbers_none() -> None:
    summary = summarise([row(0, "unparsed", 0)])
    assert (summary.latent_share, summary.efficiency, summary.correct_tokens) == (None, None, None)


def test_summary_metrics_survive_json_as_stored_in_a_manifest() -> None:
    summary = summarise([row(0, level="2"), row(1, "wrong", 90, level="1"), row(2, tokens=300, level="1")])
    stored = json.loads(json.dumps(summary.to_metrics(), sort_keys=True, allow_nan=False))
    assert Summary.from_metrics(stored) == summary


@pytest.mark.parametrize("damage", [{"histogram": {"edges": [0, 1], "counts": [1, 2]}}, {"accuracy": 0.5}, {"new": 1}])
def test_summary_from_foreign_metrics_says_evaluate_again(damage: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="evaluate again"):
        Summary.from_metrics(summarise([row(0)]).to_metrics() | damage)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows"),
        ([{"question_id": "q"}], "has no sample_index, level, verdict"),
        ([row(0, "right")], "verdict 'right'"),
        ([row(0, tokens=-1)], "tokens of question q0 is negative"),
        ([row(0), row(0)], "sample_index 0 of question q0 occurs twice"),
        ([row(0, level="1"), row(0, level="2", sample_index=1)], "level of question q0"),
    ],
)
def test_summarise_bad_rows_are_refused_by_name(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        summarise(rows)


def test_compare_gives_difference_mcnemar_and_achieved_ratio_in_any_order() -> None:
    # 7 questions become right, 1 becomes wrong, 2 stay: exact McNemar for 1 of 8 is 2 · (1 + 8) / 2⁸
    before = [row(index, "wrong" if index < 7 else "correct", 100) for index in range(10)]
    after = [row(index, "wrong" if index == 9 else "correct", 20 + 10 * (index % 2)) for index in range(10)]
    comparison = compare(before, reversed(after))
    assert comparison.questions == 10
    assert comparison.accuracy.value == pytest.approx(0.6)
    assert 0 < comparison.accuracy.low < 0.6 < comparison.accuracy.high <= 1
    assert comparison.mcnemar_p == 18 / 256
    assert comparison.achieved_ratio is not None
    assert comparison.achieved_ratio.value == 0.25
    assert 0.2 < comparison.achieved_ratio.low < 0.25 < comparison.achieved_ratio.high < 0.3


def test_compare_pairs_by_question_id_not_by_position() -> None:
    before = [row(index, "correct" if index % 2 else "wrong", 10 * (index + 1)) for index in range(8)]
    comparison = compare(before, reversed(before))
    assert comparison.accuracy.value == 0
    assert comparison.achieved_ratio == (1.0, 1.0, 1.0)
    assert comparison.mcnemar_p == 1.0


def test_compare_of_models_that_agree_everywhere_is_not_certain_of_new_questions() -> None:
    """Of four questions: an error of 1 / (4 + 2) and Student's 3.18 with 3 degrees of freedom."""
    found = compare(same := [row(index) for index in range(4)], same).accuracy
    assert found == pytest.approx((0, -0.530, 0.530), abs=0.001)
    many = compare(same := [row(index) for index in range(400)], same).accuracy
    assert many.high == pytest.approx(1.966 / 402, rel=0.001)
    assert compare([row(0)], [row(0)]).accuracy == (0, -1, 1)


def test_compare_has_an_interval_that_ends_at_the_largest_difference_there_can_be() -> None:
    before = [row(index, "wrong" if index < 7 else "correct") for index in range(8)]
    assert compare(before, [row(index) for index in range(8)]).accuracy.high == 1


def test_compare_several_samples_leaves_mcnemar_out() -> None:
    many = [row(question, sample_index=index) for question in range(4) for index in range(2)]
    comparison = compare([row(question) for question in range(4)], many)
    assert comparison.mcnemar_p is None
    assert comparison.p_value == comparison.student_p == 1.0


def test_compare_counts_the_samples_of_the_model_that_has_fewer() -> None:
    """One of four samples of each of nine questions is wrong, against models without a wrong one."""
    several = [
        row(question, "wrong" if index == 0 else "correct", sample_index=index)
        for question in range(9)
        for index in range(4)
    ]
    all_right = [row(question, sample_index=index) for question in range(9) for index in range(4)]
    four, one = compare(all_right, several), compare([row(question) for question in range(9)], several)
    assert four.accuracy.value == one.accuracy.value == -0.25
    assert four.accuracy.high == pytest.approx(-0.25 + 2.306 / 44, abs=1e-4)
    assert one.accuracy.high == pytest.approx(-0.25 + 2.306 / 11, abs=1e-4)
    assert four.p_value == four.student_p < one.p_value == one.student_p


def test_compare_with_an_empty_baseline_output_has_no_ratio() -> None:
    assert compare([row(0, "unparsed", 0)], [row(0)]).achieved_ratio is None


def test_compare_different_questions_is_refused_with_an_example() -> None:
    with pytest.raises(InputError, match=r"1 questions only in the first, 2 only in the second, e\.g\. q0"):
        compare([row(0), row(1)], [row(1), row(2), row(3)])


def test_compare_with_more_questions_in_the_candidate_is_refused_too() -> None:
    with pytest.raises(InputError, match=r"0 questions only in the first, 1 only in the second, e\.g\. q1"):
        compare([row(0)], [row(0), row(1)])


def test_summary_with_following_survives_its_metrics_and_others_have_none() -> None:
    plain = summarise([row(0)])
    assert "follows_reasoning" not in plain.to_metrics()
    for follows in ([True, None], [None]):
        swapped = plain.with_following(following(follows))
        assert Summary.from_metrics(json.loads(json.dumps(swapped.to_metrics()))) == swapped


def test_ratios_that_are_named_are_counted_and_survive_the_manifest() -> None:
    rows = [{"echoed_ratio": ratio} for ratio in (0.5, 1.0, None, 0.5)]
    echoed = echoed_ratios(rows)
    assert list(echoed.items()) == [("1", 1), ("0.5", 2), ("none", 1)]
    assert echoed_ratios([{"tokens": 3}]) == {}
    plain = summarise([row(1)])
    assert "echoed" not in plain.to_metrics()
    found = replace(plain, echoed=echoed)
    assert Summary.from_metrics(json.loads(json.dumps(found.to_metrics()))) == found
