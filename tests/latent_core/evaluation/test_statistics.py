"""Statistics against published numbers, brute force, and their own coverage."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from latent_core.evaluation.statistics import (
    bootstrap_mean,
    bootstrap_ratio,
    majority_at_k,
    mcnemar_exact,
    paired_bootstrap,
    pass_at_k,
    wilson_interval,
)


def test_wilson_interval_published_examples_match() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81/263, 15/148, 0/20, 1/29.
    for successes, trials, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (1, 29, 0.0061, 0.1718)]:
        estimate = wilson_interval(successes, trials)
        assert (round(estimate.low, 4), round(estimate.high, 4)) == (low, high)
    none = wilson_interval(0, 20)
    assert none.low == 0.0 and round(none.high, 4) == 0.1611


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_any_count_holds_the_proportion_and_mirrors(counts: tuple[int, int]) -> None:
    successes, trials = counts
    estimate, mirrored = wilson_interval(successes, trials), wilson_interval(trials - successes, trials)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert math.isclose(estimate.low, 1 - mirrored.high, abs_tol=1e-12)


def test_bootstrap_mean_normal_sample_agrees_with_the_standard_error() -> None:
    sample = np.random.default_rng(0).normal(300, 40, size=400)
    estimate = bootstrap_mean(sample, seed=1)
    reach = 1.96 * sample.std(ddof=1) / 20
    assert estimate.value == sample.mean()
    assert math.isclose(estimate.low, sample.mean() - reach, abs_tol=0.4)
    assert math.isclose(estimate.high, sample.mean() + reach, abs_tol=0.4)
    assert bootstrap_mean(sample, seed=1) == estimate != bootstrap_mean(sample, seed=2)


def test_paired_bootstrap_shared_difficulty_is_taken_out() -> None:
    random = np.random.default_rng(0)
    difficulty = random.normal(500, 200, size=100)
    shorter = difficulty - 20 + random.normal(0, 10, size=100)
    paired = paired_bootstrap(difficulty, shorter, seed=0)
    assert -23 < paired.low < paired.value < paired.high < -17
    assert paired.p_value < 0.001
    assert bootstrap_mean(difficulty, seed=0).low < bootstrap_mean(shorter, seed=0).high  # unpaired: no difference seen


def test_paired_bootstrap_no_difference_has_p_value_one() -> None:
    assert paired_bootstrap([1.0, 0.0, 1.0], [1.0, 0.0, 1.0], seed=0).p_value == 1.0


def test_paired_bootstrap_null_hypothesis_p_values_are_calibrated() -> None:
    random = np.random.default_rng(3)
    rejected = 0
    for trial in range(200):
        first, second = random.normal(size=(2, 60))
        rejected += paired_bootstrap(first, second, seed=trial, resamples=500).p_value < 0.05
    assert 2 <= rejected <= 22  # 10 expected; binomial(200, 0.05) leaves this range once in a thousand


@pytest.mark.parametrize(
    ("first", "second", "p_value"),
    [(0, 0, 1.0), (5, 5, 1.0), (1, 9, 22 / 1024), (9, 1, 22 / 1024), (0, 5, 2 / 32), (6, 16, 0.052479)],
)
def test_mcnemar_exact_small_tables_match_the_binomial(first: int, second: int, p_value: float) -> None:
    assert math.isclose(mcnemar_exact(first, second), p_value, abs_tol=1e-6)


def test_mcnemar_exact_large_table_stays_finite() -> None:
    assert 0 < mcnemar_exact(4800, 5200) < 1e-4


@pytest.mark.parametrize(("samples", "correct"), [(6, 0), (6, 1), (6, 3), (6, 6)])
@pytest.mark.parametrize("k", [1, 2, 5, 6])
def test_pass_at_k_every_subset_counted_agrees(samples: int, correct: int, k: int) -> None:
    subsets = list(itertools.combinations(range(samples), k))
    hits = sum(min(subset) < correct for subset in subsets)
    assert math.isclose(pass_at_k(samples, correct, k), hits / len(subsets))


def test_majority_at_k_votes_by_normalised_answer() -> None:
    answers = ["0.50", "0.5", "2", None, None]
    assert majority_at_k(answers, [True, True, False, False, False], 5, seed=0) == 1.0
    assert majority_at_k(["1", "2"], [True, False], 2, seed=0) == 0.5
    assert majority_at_k([None, None], [False, False], 2, seed=0) == 0.0


def test_majority_at_k_one_vote_is_near_the_accuracy_of_voters() -> None:
    answers, correct = ["1", "1", "1", "2"], [True, True, True, False]
    assert math.isclose(majority_at_k(answers, correct, 1, seed=0, draws=4000), 0.75, abs_tol=0.03)


def test_statistics_bad_parameters_raise_naming_them() -> None:
    for call, field in [
        (lambda: wilson_interval(1, 0), "trials"),
        (lambda: wilson_interval(3, 2), "successes"),
        (lambda: wilson_interval(1, 2, confidence=1.0), "confidence"),
        (lambda: bootstrap_mean([], seed=0), "values"),
        (lambda: bootstrap_mean([math.nan], seed=0), "values"),
        (lambda: paired_bootstrap([1.0], [1.0, 2.0], seed=0), "baseline and candidate"),
        (lambda: mcnemar_exact(-1, 0), "only_first"),
        (lambda: pass_at_k(4, 2, 5), "k must"),
        (lambda: majority_at_k(["1"], [True, False], 1, seed=0), "answers and correct"),
    ]:
        with pytest.raises(ValueError, match=field):
            call()


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (3, 10), (81, 263), (499, 500)])
def test_wilson_interval_agrees_with_scipy(successes: int, trials: int) -> None:
    theirs = stats.binomtest(successes, trials).proportion_ci(confidence_level=0.95, method="wilson")
    ours = wilson_interval(successes, trials)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (3, 11), (40, 61), (130, 128)])
def test_mcnemar_exact_agrees_with_scipys_binomial_test(first: int, second: int) -> None:
    assert mcnemar_exact(first, second) == pytest.approx(stats.binomtest(first, first + second, 0.5).pvalue, rel=1e-9)


def test_bootstrap_mean_agrees_with_scipys_percentile_bootstrap() -> None:
    sample = np.random.default_rng(5).gamma(2.0, 70.0, size=120)
    theirs = stats.bootstrap((sample,), np.mean, method="percentile", n_resamples=10_000, rng=1).confidence_interval
    ours = bootstrap_mean(sample, seed=1)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.01)


def test_bootstrap_ratio_leaves_out_resamples_without_a_baseline() -> None:
    """Of two questions, a quarter of the resamples draws only the empty baseline; the rest have 3 / 2 or 3 / 4."""
    assert bootstrap_ratio(np.array([0.0, 4.0]), np.array([3.0, 3.0]), seed=1) == (1.5, 0.75, 1.5)
    assert bootstrap_ratio(np.array([2.0, 2.0]), np.array([1.0, 1.0]), seed=1) == (0.5, 0.5, 0.5)
    assert bootstrap_ratio(np.array([0.0, 0.0]), np.array([1.0, 1.0]), seed=1) is None
