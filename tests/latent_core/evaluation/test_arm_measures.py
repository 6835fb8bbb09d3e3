"""Measures of arms against values worked out by hand, brute force, or scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from latent_core.errors import InputError
from latent_core.evaluation.aes import AES_1_3_5, AES_1_5_10, aes
from latent_core.evaluation.arm_measures import Untrained, measure
from latent_core.evaluation.arms import Arm, read_arm
from latent_core.evaluation.crossed_bootstrap import draw
from latent_core.evaluation.equal_tokens import accuracy_at, mean_difference
from latent_core.evaluation.hypervolume import hypervolume
from latent_core.evaluation.length import obedience, slope, spearman
from latent_core.evaluation.scores import read_scores


def test_aes_gain_loss_and_baseline_match_the_formula() -> None:
    # Half the tokens at equal accuracy; at 10 % more; at 10 % less accuracy, relative to the baseline.
    assert aes(0.5, 50, 0.5, 100, AES_1_3_5) == pytest.approx(0.5)
    assert aes(0.55, 50, 0.5, 100, AES_1_3_5) == pytest.approx(0.5 + 3 * 0.1)
    assert aes(0.45, 50, 0.5, 100, AES_1_3_5) == pytest.approx(0.5 - 5 * 0.1)
    assert aes(0.45, 50, 0.5, 100, AES_1_5_10) == pytest.approx(0.5 - 10 * 0.1)
    assert aes(0.5, 150, 0.5, 100, AES_1_5_10) == pytest.approx(-0.5)
    assert aes(0.5, 50, 0.0, 100, AES_1_3_5) is None and AES_1_5_10.name == "AES 1/5/10"


def test_hypervolume_staircase_is_the_area_under_the_best_accuracy_so_far() -> None:
    # From 50 to 75 tokens 0.4, from 75 on 0.8, of a reference of 100; the point at 90 is dominated, 120 is too long.
    tokens, accuracy = np.array([75.0, 50, 90, 120]), np.array([0.8, 0.4, 0.6, 1.0])
    assert hypervolume(tokens, accuracy, 100) == pytest.approx(0.25 * 0.4 + 0.25 * 0.8)
    assert hypervolume(np.array([100.0]), np.array([1.0]), 100) == 0
    assert hypervolume(np.array([0.0]), np.array([1.0]), 100) == 1
    with pytest.raises(ValueError, match="reference"):
        hypervolume(tokens, accuracy, 0)


@given(st.lists(st.tuples(st.integers(0, 120), st.floats(0, 1)), min_size=1, max_size=6))
def test_hypervolume_any_points_equal_a_sum_over_budgets(points: list[tuple[int, float]]) -> None:
    tokens, accuracy = (np.array(column, dtype=np.float64) for column in zip(*points, strict=True))
    budgets = [max((a for t, a in points if t <= budget), default=0.0) for budget in range(100)]
    assert float(hypervolume(tokens, accuracy, 100)) == pytest.approx(sum(budgets) / 100)


def test_obedience_known_cells_and_cells_without_a_target() -> None:
    tokens = np.array([[[60.0, 40, 0]]])  # one seed, one ratio, three questions
    found = obedience(tokens, np.array([[100.0, 100, 0]]), np.array([0.5]))
    assert found.deviation[0, 0, :2] == pytest.approx([0.2, 0.2])
    assert found.over_budget[0, 0, :2].tolist() == [1, 0]
    assert math.isnan(found.deviation[0, 0, 2]) and math.isnan(found.over_budget[0, 0, 2]) and found.left_out == 1


def test_obedience_length_as_asked_is_within_budget_despite_rounding() -> None:
    """0.7 × 90 is 62.99999999999999; a tenth of a token more is over."""
    found = obedience(np.array([[[63.0, 63.1]]]), np.array([[90.0, 90]]), np.array([0.7]))
    assert found.over_budget.tolist() == [[[0, 1]]] and found.deviation[0, 0, 0] == pytest.approx(0, abs=1e-12)


def test_slope_obedient_model_has_one_and_indifferent_model_none() -> None:
    ratios = np.array([1.0, 0.7, 0.5, 0.3])
    assert slope(ratios, ratios) == pytest.approx(1)
    assert slope(ratios, np.array([[0.9] * 4, ratios * 2])) == pytest.approx([0, 2])


@given(st.lists(st.integers(0, 4), min_size=4, max_size=4))
def test_spearman_any_tokens_with_ties_agrees_with_scipy(tokens: list[int]) -> None:
    ratios = np.array([1.0, 0.7, 0.5, 0.3])
    expected = 0.0 if len(set(tokens)) == 1 else float(stats.spearmanr(ratios, tokens).statistic)
    assert float(spearman(ratios, np.array(tokens, dtype=np.float64))) == pytest.approx(expected)


def test_accuracy_at_interpolates_in_tokens_and_never_beyond_the_ends() -> None:
    tokens, accuracy = np.array([40.0, 100, 80]), np.array([0.2, 0.8, 0.8])  # out of order
    found = accuracy_at(tokens, accuracy, np.array([39.0, 40, 50, 80, 90, 100, 101]))
    assert found[1:6] == pytest.approx([0.2, 0.35, 0.8, 0.8, 0.8])
    assert np.isnan(found[[0, 6]]).all()


def test_accuracy_at_points_of_equal_tokens_count_as_their_mean() -> None:
    found = accuracy_at(np.array([50.0, 50, 70]), np.array([0.2, 0.6, 1.0]), np.array([50.0, 60]))
    assert found == pytest.approx([0.4, 0.7])


def test_mean_difference_parallel_curves_differ_by_their_distance_over_the_common_range() -> None:
    tokens, accuracy = np.array([20.0, 60]), np.array([0.2, 0.6])
    control = np.array([40.0, 80]), np.array([0.3, 0.7])  # at 40 to 60 tokens 0.3 to 0.5, the arm 0.4 to 0.6
    assert mean_difference(tokens, accuracy, *control) == pytest.approx(0.1)
    assert math.isnan(mean_difference(tokens, accuracy, np.array([70.0, 90]), np.array([0.1, 0.2])))
    # A kink of the control inside the range: the arm is 0.5 throughout, the control 0.5 → 0 → 0.5.
    kinked = np.array([0.0, 50, 100]), np.array([0.5, 0.0, 0.5])
    found = mean_difference(np.array([0.0, 100]), np.array([0.5, 0.5]), *kinked)
    assert found == pytest.approx(0.25, abs=0.01)


def _arm() -> Arm:
    """Two seeds, ratios 1 and 0.5, two questions."""
    correct = np.array([[[1.0, 1], [1, 0]], [[1, 0], [0, 0]]])
    reasoning = np.array([[[100.0, 80], [60, 30]], [[100, 120], [50, 80]]])
    return Arm("a", (1, 2), (1.0, 0.5), ("q0", "q1"), correct, reasoning, reasoning + 10)


def test_measure_small_arm_gives_the_numbers_worked_out_by_hand() -> None:
    found = measure(_arm(), Untrained(0.8, 100, 125), draw(2, 2, resamples=1000, seed=0))
    full, half = found.at
    assert full.accuracy[:2] == pytest.approx((0.75, math.sqrt(0.125)))
    assert (full.accuracy.each_seed, half.accuracy.each_seed) == ((1.0, 0.5), (0.5, 0.0))
    assert (half.reasoning.mean, half.reasoning_ratio, half.output.mean) == pytest.approx((55, 0.55, 65))
    assert half.aes["AES 1/3/5"] == pytest.approx((125 - 65) / 125 - 5 * (0.8 - 0.25) / 0.8)
    # Targets 50, 40, 50, 60: deviations 10/50, 10/40, 0, 20/60; over budget the first and the last.
    assert found.deviation == pytest.approx((0.2 + 0.25 + 0 + 1 / 3) / 4)
    assert found.over_budget == 0.5 and found.without_target == 0
    assert full.deviation is None and half.over_budget == 0.5
    # Means 100 and 55 tokens of a reference of 125, accuracy 0.75 and 0.25.
    assert found.hypervolume.value == pytest.approx((45 * 0.25 + 25 * 0.75) / 125)
    assert found.hypervolume.low < found.hypervolume.value < found.hypervolume.high
    assert found.slope is not None and found.slope.value == pytest.approx(0.9)
    assert (found.spearman, found.spearman_means) == (1.0, 1.0)


def test_measure_untrained_model_without_reasoning_leaves_the_hypervolume_undefined() -> None:
    found = measure(_arm(), Untrained(0.8, 0, 25), draw(2, 2, resamples=100, seed=0))
    assert found.hypervolume is None and found.deviation is not None


@pytest.mark.filterwarnings("error")
def test_measure_seed_that_does_not_reason_at_ratio_one_leaves_the_slope_finite() -> None:
    arm = _arm()
    arm.reasoning[0, 0] = 0
    found = measure(arm, Untrained(0.8, 100, 125), draw(2, 2, resamples=1000, seed=0))
    assert found.without_target == 2 and found.deviation == pytest.approx((0 + 1 / 3) / 2)
    assert found.slope is not None and np.isfinite(found.slope).all()
    assert found.slope.value == pytest.approx((1 - 55 / 55) / 0.5)


def test_measure_without_ratio_one_names_the_arm() -> None:
    arm = _arm()
    shorter = Arm("a", arm.seeds, (0.7, 0.5), arm.question_ids, arm.correct, arm.reasoning, arm.output)
    with pytest.raises(InputError, match="a: was not evaluated at ratio 1"):
        measure(shorter, Untrained(0.8, 100, 125), draw(2, 2, resamples=10, seed=0))


def _rows(order: str, right: str, tokens: int) -> list[dict[str, object]]:
    return [
        {"question_id": name, "sample_index": 0, "level": None, "verdict": "correct" if name in right else "wrong"}
        | {"tokens": tokens + 5, "reasoning_tokens": tokens, "latent_tokens": 0}
        for name in order
    ]


def test_read_arm_orders_questions_alike_and_refuses_other_questions_and_gaps() -> None:
    first, second = read_scores(_rows("abc", "a", 40)), read_scores(_rows("cba", "ab", 20))
    arm = read_arm("x", {(1, 1.0): first, (1, 0.5): second})
    assert arm.question_ids == ("a", "b", "c") and arm.ratios == (1.0, 0.5) and arm.one_sample_each
    assert arm.correct[0].tolist() == [[1, 0, 0], [1, 1, 0]] and arm.output[0, 1].tolist() == [25, 25, 25]
    with pytest.raises(InputError, match=r"x: seed 2 was not evaluated at ratio 0\.5"):
        read_arm("x", {(1, 1.0): first, (1, 0.5): second, (2, 1.0): first})
    with pytest.raises(InputError, match=r"seed 1, ratio 0\.5 holds other questions"):
        read_arm("x", {(1, 1.0): first, (1, 0.5): read_scores(_rows("abd", "a", 1))})
