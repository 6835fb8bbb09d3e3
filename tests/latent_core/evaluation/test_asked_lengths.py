"""Lengths against the start model's, and accuracy between trained ratios, on arms of known numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from latent_core.errors import InputError
from latent_core.evaluation.arms import Arm
from latent_core.evaluation.asked_lengths import asked_lengths, deviations, reference_of
from latent_core.evaluation.crossed_bootstrap import draw

RATIOS = (1.0, 0.75, 0.5)
LENGTHS = np.array([100.0, 200.0, 40.0, 60.0])  # of the start model at ratio 1, by question
TRAINED = frozenset({1.0, 0.5})
DRAWS = draw(2, 4, resamples=500, seed=0)


def _arm(factor: float = 1.0, name: str = "arm") -> Arm:
    """Two seeds; every length is the ratio's share of the start model's, times `factor`; all answers are right."""
    reasoning = factor * np.array(RATIOS)[None, :, None] * LENGTHS[None, None, :] * np.ones((2, 1, 1))
    return Arm(name, (1, 2), RATIOS, ("a", "b", "c", "d"), np.ones((2, 3, 4)), reasoning, reasoning + 15)


START = _arm(name="start")


def test_arm_that_keeps_its_start_models_lengths_deviates_by_nothing() -> None:
    found = asked_lengths(_arm(), START, DRAWS, TRAINED)
    assert found.deviation.value == found.of_means == 0
    assert (found.slope.value, found.spearman) == (pytest.approx(1), pytest.approx(1))
    assert [at.target for at in found.at] == [100, 75, 50] and [at.answer for at in found.at] == [15, 15, 15]


def test_arm_that_shortens_everything_misses_though_it_obeys_itself() -> None:
    """Against its own length at ratio 1 such an arm would be perfect."""
    found = asked_lengths(_arm(0.8), START, DRAWS, TRAINED)
    assert found.deviation.value == pytest.approx(0.2) and found.of_means == pytest.approx(0.2)
    assert found.slope.value == pytest.approx(0.8)
    assert [at.over_budget for at in found.at] == [0, 0, 0]


def test_questions_that_miss_in_both_directions_show_in_the_deviation_and_not_in_the_means() -> None:
    reasoning = START.reasoning.copy()
    reasoning[:, 1:, 0] *= 1.2  # the 100 tokens of question a
    reasoning[:, 1:, 1] *= 0.9  # the 200 tokens of question b
    found = asked_lengths(replace(START, name="arm", reasoning=reasoning), START, DRAWS, TRAINED)
    assert found.deviation.value == pytest.approx((0.2 + 0.1) / 4) and found.of_means == pytest.approx(0)
    assert found.deviation.low < found.deviation.value < found.deviation.high
    assert [at.over_budget for at in found.at] == [0, 0.25, 0.25]


def test_questions_that_the_start_model_answers_wrong_have_the_mean_of_the_others_and_are_counted() -> None:
    correct = START.correct.copy()
    correct[:, 0, 1] = 0
    reference = reference_of(replace(START, correct=correct))
    assert reference.tokens == pytest.approx([100, 200 / 3, 40, 60]) and reference.borrowed == 1
    with pytest.raises(InputError, match="start: answers no question correctly"):
        reference_of(replace(START, correct=np.zeros_like(correct)))


def test_question_that_the_start_model_answers_without_reasoning_has_the_mean_of_the_others() -> None:
    """A target of no tokens would make every deviation from it infinite, one of a single token nearly so."""
    reasoning = START.reasoning.copy()
    reasoning[:, 0, 0] = 0
    reference = reference_of(replace(START, reasoning=reasoning))
    assert reference.tokens == pytest.approx([100, 200, 40, 60]) and reference.borrowed == 1


def test_untrained_ratio_is_beside_the_line_between_its_trained_neighbours() -> None:
    correct = np.ones((2, 3, 4))
    correct[:, 1, :2] = 0  # 50 % at 0.75
    correct[:, 2, 0] = 0  # 75 % at 0.5
    arm = replace(_arm(), correct=correct)
    found = asked_lengths(arm, START, DRAWS, TRAINED)
    (between,) = found.between
    assert (between.ratio, between.below, between.above) == (0.75, 0.5, 1.0)
    assert (between.accuracy, between.interpolated) == (0.5, pytest.approx(0.875))
    assert between.difference.value == pytest.approx(-0.375)
    losses = [at.loss.value if at.loss else None for at in found.at]
    assert losses == [None, pytest.approx(-0.5), pytest.approx(-0.25)]


def test_ratio_beyond_the_trained_ones_has_no_line_to_lie_on() -> None:
    assert asked_lengths(_arm(), START, DRAWS, frozenset({1.0, 0.75})).between == ()


def test_line_is_nearer_to_the_nearer_neighbour() -> None:
    ratios = (1.0, 0.6, 0.5)
    correct = np.ones((2, 3, 4))
    correct[:, 2] = 0
    arm = replace(_arm(), ratios=ratios, correct=correct)
    (between,) = asked_lengths(arm, START, DRAWS, TRAINED).between
    assert between.interpolated == pytest.approx(0.2)


def test_arm_of_other_questions_is_refused() -> None:
    with pytest.raises(InputError, match="arm: was evaluated on other questions than start"):
        asked_lengths(replace(_arm(), question_ids=("a", "b", "c", "e")), START, DRAWS, TRAINED)


def test_deviations_are_per_seed_and_question_over_the_ratios_below_1() -> None:
    reasoning = START.reasoning.copy()
    reasoning[1, 1, 0] *= 1.2  # of seed 2, question a, at one of two ratios
    reasoning[:, 0] *= 7  # ratio 1 does not count
    found = deviations(replace(START, name="arm", reasoning=reasoning), START)
    assert found == pytest.approx(np.array([[0, 0, 0, 0], [0.1, 0, 0, 0]]))
