"""Non-inferiority, and the uncertainty of one training's difference that it rests on."""

from __future__ import annotations

import numpy as np
import pytest

from latent_core.evaluation.arm_comparisons import Difference, Matching, Pair
from latent_core.evaluation.noninferiority import is_non_inferior, noninferiority_p
from latent_core.evaluation.question_draws import draw_questions
from latent_core.evaluation.statistics import Estimate


def difference(value: float, error: float, freedom: float = 1000) -> Difference:
    estimate = Estimate(value, value, value)
    return Difference(Pair("a", "b"), Matching.RATIO, difference=estimate, error=error, freedom=freedom)


@pytest.mark.parametrize(("value", "expected"), [(0.0, True), (-0.0101, True), (-0.0115, False), (-0.04, False)])
def test_noninferiority_of_one_row_is_whether_its_interval_lies_above_minus_the_margin(
    value: float, expected: bool
) -> None:
    """The interval reaches 1.96 points down."""
    (p,) = noninferiority_p([difference(value, 0.01)], margin=0.03)
    assert is_non_inferior(p) == expected


def test_noninferiority_is_corrected_over_all_rows_and_skips_those_not_compared() -> None:
    row = difference(-0.01, 0.01)  # alone p is 0.023
    missing = Difference(Pair("a", "b"), Matching.RATIO)
    alone, both = noninferiority_p([row], 0.03)[0], noninferiority_p([row, missing, row], 0.03)
    assert alone is not None and is_non_inferior(alone)
    assert both[1] is None and both[0] == both[2] == pytest.approx(2 * alone) and not is_non_inferior(both[0])


@pytest.mark.parametrize("seeds", [1, 3])
def test_question_draws_give_equal_answers_the_uncertainty_of_one_question(seeds: int) -> None:
    draws = draw_questions(seeds, 8, resamples=200, seed=0)
    nothing = draws.uncertainty(draws.means(np.zeros((seeds, 8))))
    assert nothing.error == pytest.approx(0.1)
    assert nothing.interval(0.0).high > 0.2


def test_question_draws_of_one_seed_hold_the_truth_as_often_as_they_say() -> None:
    """30 questions, on one in five of which two equal models differ."""
    random, questions, held = np.random.default_rng(3), 30, 0
    draws = draw_questions(1, questions, resamples=400, seed=1)
    for _ in range(400):
        values = random.choice([-1.0, 0.0, 1.0], p=[0.1, 0.8, 0.1], size=(1, questions))
        found = draws.uncertainty(draws.means(values)).interval(float(values.mean()))
        held += found.low <= 0 <= found.high
    assert 0.93 <= held / 400 <= 0.99
