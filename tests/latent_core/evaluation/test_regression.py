"""The rule of the nightly verdict on constructed cases: each p-value, threshold and sign is known beforehand."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from latent_core.errors import InputError
from latent_core.evaluation.regression import ALPHA, find_regressions, judge
from latent_core.evaluation.scores import Scores, read_scores

Pair = tuple[Scores, Scores]


def _scores(correct: list[bool], samples: int = 1) -> Scores:
    """Question `n` with as many samples, all of them right or all wrong."""
    return read_scores(
        {
            "question_id": f"q{number}",
            "sample_index": index,
            "level": None,
            "verdict": "correct" if is_right else "wrong",
            "tokens": 1,
            "reasoning_tokens": 0,
            "latent_tokens": 0,
        }
        for number, is_right in enumerate(correct)
        for index in range(samples)
    )


def _changed(lost: int, won: int, kept: int = 10, samples: int = 1) -> Pair:
    """`lost` questions are right before and wrong after, `won` the reverse, `kept` right in both."""
    before = [True] * lost + [False] * won + [True] * kept
    after = [False] * lost + [True] * won + [True] * kept
    return _scores(before, samples), _scores(after, samples)


def _mcnemar(lost: int, won: int) -> float:
    """Two-sided exact binomial p, written out."""
    n, few = lost + won, min(lost, won)
    return min(1.0, 2 * sum(comb(n, k) for k in range(few + 1)) / 2**n)


def test_p_value_of_one_sample_each_is_mcnemars_exact_one() -> None:
    (judged,) = judge({"a": _changed(9, 1)})
    assert judged.p_value == pytest.approx(_mcnemar(9, 1)) == pytest.approx(22 / 1024)
    assert judged.comparison.student_p != judged.p_value


def test_p_value_of_several_samples_each_is_students() -> None:
    (judged,) = judge({"a": _changed(9, 1, samples=2)})
    assert judged.comparison.mcnemar_p is None
    assert judged.p_value == judged.comparison.p_value == judged.comparison.student_p


def test_fall_of_one_condition_is_found_at_five_percent() -> None:
    assert _mcnemar(6, 0) == 2 / 64 < ALPHA < _mcnemar(5, 0) == 2 / 32
    assert [item.condition for item in find_regressions({"a": _changed(6, 0)})] == ["a"]
    assert find_regressions({"a": _changed(5, 0)}) == []


def test_rise_however_sure_is_no_regression() -> None:
    (judged,) = judge({"a": _changed(0, 12)})
    assert judged.differs and not judged.fell and judged.after > judged.before
    assert find_regressions({"a": _changed(0, 12)}) == []


def test_thresholds_are_holms_from_the_smallest_p_value_on() -> None:
    pairs = {"middle": _changed(7, 0), "large": _changed(3, 3), "small": _changed(10, 0)}
    judged = {item.condition: item for item in judge(pairs)}
    assert list(judged) == list(pairs)
    assert judged["small"].threshold == pytest.approx(0.05 / 3)
    assert judged["middle"].threshold == pytest.approx(0.05 / 2)
    assert judged["large"].threshold == pytest.approx(0.05)


def test_p_value_that_one_condition_would_pass_with_is_not_enough_among_several() -> None:
    assert 0.05 / 2 < _mcnemar(6, 0) < 0.05
    assert find_regressions({"a": _changed(6, 0)})
    assert find_regressions({"a": _changed(6, 0), "b": _changed(3, 3)}) == []


def test_second_condition_is_held_against_a_wider_threshold_than_the_first() -> None:
    """Bonferroni would miss it: 1/64 is above .05 / 4 = .0125 and below .05 / 3."""
    assert 0.05 / 4 < _mcnemar(7, 0) == 1 / 64 < 0.05 / 3
    pairs = {"a": _changed(7, 0), "b": _changed(12, 0), "c": _changed(3, 3), "d": _changed(4, 4)}
    assert [item.condition for item in find_regressions(pairs)] == ["b", "a"]


def test_condition_behind_one_that_passed_passes_whatever_its_own_threshold() -> None:
    """Four conditions of p = 1/32 or more: the first is above .05 / 4, so the last, below .05, is not rejected."""
    pairs = {name: _changed(6, 0) for name in "abcd"}
    judged = judge(pairs)
    assert judged[-1].p_value < judged[-1].threshold
    assert not any(item.differs for item in judged) and find_regressions(pairs) == []


def test_p_value_on_the_threshold_is_rejected() -> None:
    assert [item.condition for item in find_regressions({"a": _changed(6, 0)}, alpha=2 / 64)] == ["a"]
    assert find_regressions({"a": _changed(6, 0)}, alpha=float(np.nextafter(2 / 64, 0))) == []


def test_rises_count_in_the_family_and_are_not_listed() -> None:
    pairs = {"up": _changed(0, 12), "down": _changed(7, 0)}
    assert [item.condition for item in find_regressions(pairs)] == ["down"]


def test_line_says_before_after_interval_and_questions() -> None:
    (fallen,) = find_regressions({"ratio 0.5": _changed(10, 0, kept=30)})
    assert fallen.line().startswith("ratio 0.5: accuracy -25.0 points, 100.0% -> 75.0% (95 % -")
    assert fallen.line().endswith("p = 0.002) on 40 questions")
    change = fallen.comparison.accuracy
    assert change.low < -0.25 < change.high < 0
    assert f"(95 % {100 * change.low:+.1f} to {100 * change.high:+.1f}, p" in fallen.line()


def test_nothing_to_compare_is_no_regression() -> None:
    assert judge({}) == [] == find_regressions({})


def test_pair_of_other_questions_is_refused() -> None:
    with pytest.raises(InputError, match="question_id"):
        judge({"a": (_scores([True] * 3), _scores([True] * 4))})
