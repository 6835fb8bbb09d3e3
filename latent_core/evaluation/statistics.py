"""Intervals and tests for evaluations: Wilson, bootstrap, McNemar, pass@k, maj@k; numpy and the standard library only.

The unit of resampling is the question. Several samples of one question are not independent: average them first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
_DRAWS_AT_ONCE = 2_000_000  # indices held in memory at a time: 16 MB


class Estimate(NamedTuple):
    """A value and its confidence interval, in the value's own unit."""

    value: float
    low: float
    high: float


class PairedDifference(NamedTuple):
    """Mean of candidate minus baseline with its interval, and the two-sided bootstrap p-value of no difference."""

    value: float
    low: float
    high: float
    p_value: float


def wilson_interval(successes: int, trials: int, *, confidence: float = 0.95) -> Estimate:
    """Score interval of a proportion, which keeps its coverage near 0 and 1 and for few trials.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    `value` is the observed proportion. Raises ValueError unless 0 <= successes <= trials and trials >= 1.
    """
    if trials < 1:
        raise ValueError(f"trials must be at least 1, not {trials}.")
    if not 0 <= successes <= trials:
        raise ValueError(f"successes must lie between 0 and trials ({trials}), not {successes}.")
    z = NormalDist().inv_cdf(0.5 + _checked_confidence(confidence) / 2)
    proportion = successes / trials
    denominator = 1 + z * z / trials
    centre = (proportion + z * z / (2 * trials)) / denominator
    reach = z / denominator * math.sqrt(proportion * (1 - proportion) / trials + z * z / (4 * trials * trials))
    # At the ends the bound is exactly 0 or 1; rounding would leave it a hair inside or outside.
    low = 0.0 if successes == 0 else max(0.0, centre - reach)
    high = 1.0 if successes == trials else min(1.0, centre + reach)
    return Estimate(proportion, low, high)


def bootstrap_mean(
    values: Sequence[float] | npt.NDArray[np.float64],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
) -> Estimate:
    """Percentile bootstrap interval of a mean, for mean tokens above all.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    `values` has shape (questions,). The same seed gives the same interval. Raises ValueError if it is empty or
    holds a value that is not finite.
    """
    sample = _checked_sample(values, "values")
    means = _resampled_means(sample, seed=seed, resamples=resamples)
    low, high = _percentiles(means, confidence)
    return Estimate(float(sample.mean()), low, high)


def paired_bootstrap(
    baseline: Sequence[float] | npt.NDArray[np.float64],
    candidate: Sequence[float] | npt.NDArray[np.float64],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
) -> PairedDifference:
    """Interval and p-value of the mean difference of two conditions on the same questions.

    Source: Koehn, "Statistical significance tests for machine translation evaluation", EMNLP 2004; the p-value is
    Efron and Tibshirani (1993), section 16.4: the differences are shifted to mean 0 and resampled, and those at least
    as far out as the observed one are counted, with 1 added to both counts so that it is never 0 (Davison and
    Hinkley 1997, section 4.2). Both sequences have shape (questions,), in the same order of questions. Raises
    ValueError if lengths differ, are 0, or a value is not finite.
    """
    before, after = _checked_sample(baseline, "baseline"), _checked_sample(candidate, "candidate")
    if before.shape != after.shape:
        raise ValueError(
            f"baseline and candidate must hold the same questions, not {before.size} and {after.size} values."
        )
    differences = after - before
    observed = float(differences.mean())
    means = _resampled_means(differences, seed=seed, resamples=resamples)
    low, high = _percentiles(means, confidence)
    # Summation order makes equal means differ in their last bits; the slack keeps ties counted as ties.
    slack = 1e-12 * max(1.0, float(np.abs(differences).max()))
    extreme = int(np.count_nonzero(np.abs(means - observed) >= abs(observed) - slack))
    return PairedDifference(observed, low, high, (extreme + 1) / (resamples + 1))


def bootstrap_ratio(
    baseline: npt.NDArray[np.float64], candidate: npt.NDArray[np.float64], *, seed: int, resamples: int = RESAMPLES
) -> Estimate | None:
    """Ratio of two conditions' means, candidate over baseline, with its 95 % percentile interval; None if the baseline
    is all zero.

    Source: Efron and Tibshirani (1993), section 10.3 (the ratio estimator). Both have shape (questions,), in the same
    order of questions. Resamples that draw only zeros of the baseline have no ratio and are left out.
    """
    if not baseline.any():
        return None
    random = np.random.default_rng(seed)
    size, rows = len(baseline), max(1, _DRAWS_AT_ONCE // len(baseline))
    ratios = []
    for start in range(0, resamples, rows):
        drawn = random.integers(size, size=(min(rows, resamples - start), size))
        below = baseline[drawn].sum(axis=1)
        ratios.append(candidate[drawn].sum(axis=1)[below > 0] / below[below > 0])
    low, high = np.quantile(np.concatenate(ratios), [0.025, 0.975])
    return Estimate(float(candidate.sum() / baseline.sum()), float(low), float(high))


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value that two conditions have the same accuracy, from the questions where they disagree.

    Source: McNemar, Psychometrika 12 (1947), in its exact binomial form: under no difference, `only_first` (right in
    the first condition only) is Binomial(only_first + only_second, 1/2). Raises ValueError for a negative count.
    """
    if only_first < 0 or only_second < 0:
        raise ValueError(f"only_first and only_second must not be negative: {only_first}, {only_second}.")
    disagreements = only_first + only_second
    term = tail = 1
    for successes in range(min(only_first, only_second)):
        term = term * (disagreements - successes) // (successes + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << disagreements))


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """Unbiased probability that at least one of k samples of a question is correct.

    Source: Chen et al., "Evaluating Large Language Models Trained on Code" (2021), equation 1:
    1 - C(samples - correct, k) / C(samples, k). Average it over questions. Raises ValueError unless
    0 <= correct <= samples and 1 <= k <= samples.
    """
    if not 0 <= correct <= samples:
        raise ValueError(f"correct must lie between 0 and samples ({samples}), not {correct}.")
    if not 1 <= k <= samples:
        raise ValueError(f"k must lie between 1 and samples ({samples}), not {k}.")
    return 1.0 - math.comb(samples - correct, k) / math.comb(samples, k)


def majority_at_k(
    answers: Sequence[str | None], correct: Sequence[bool], k: int, *, seed: int, draws: int = 200
) -> float:
    """Probability that a majority vote among k samples of one question is correct (maj@k).

    Source: Wang et al., "Self-Consistency Improves Chain of Thought Reasoning" (2022); as maj1@k in Lewkowycz et al.
    (2022). Answers vote by their normalised spelling; None (unparsed, truncated) does not vote; a tie is broken at
    random, in expectation. With k = all samples the value is exact, else the mean over `draws` seeded subsets. Average
    it over questions. Raises ValueError if lengths differ or k is not between 1 and their number.
    """
    if len(answers) != len(correct):
        raise ValueError(f"answers and correct must have the same length, not {len(answers)} and {len(correct)}.")
    if not 1 <= k <= len(answers):
        raise ValueError(f"k must lie between 1 and the number of answers ({len(answers)}), not {k}.")
    from latent_core.scoring.normalization import exact_key

    keys = [None if answer is None else exact_key(answer) for answer in answers]
    if k == len(keys):
        return _majority_vote(keys, correct)
    random = np.random.default_rng(seed)
    votes = []
    for _ in range(draws):
        chosen = [int(index) for index in random.choice(len(keys), size=k, replace=False)]
        votes.append(_majority_vote([keys[index] for index in chosen], [correct[index] for index in chosen]))
    return math.fsum(votes) / draws


def _majority_vote(keys: Sequence[str | None], correct: Sequence[bool]) -> float:
    counts: dict[str, int] = {}
    is_correct: dict[str, bool] = {}
    for key, right in zip(keys, correct, strict=True):
        if key is not None:
            counts[key] = counts.get(key, 0) + 1
            is_correct[key] = right
    if not counts:
        return 0.0
    most = max(counts.values())
    winners = [key for key, count in counts.items() if count == most]
    return sum(is_correct[key] for key in winners) / len(winners)


def _resampled_means(sample: npt.NDArray[np.float64], *, seed: int, resamples: int) -> npt.NDArray[np.float64]:
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples}.")
    random = np.random.default_rng(seed)
    means = np.empty(resamples, dtype=np.float64)
    rows = max(1, _DRAWS_AT_ONCE // sample.size)
    for start in range(0, resamples, rows):
        stop = min(resamples, start + rows)
        means[start:stop] = sample[random.integers(sample.size, size=(stop - start, sample.size))].mean(axis=1)
    return means


def _percentiles(means: npt.NDArray[np.float64], confidence: float) -> tuple[float, float]:
    outside = (1 - _checked_confidence(confidence)) / 2
    low, high = np.quantile(means, [outside, 1 - outside])
    return float(low), float(high)


def _checked_sample(values: Sequence[float] | npt.NDArray[np.float64], name: str) -> npt.NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0:
        raise ValueError(f"{name} must be one-dimensional and not empty; its shape is {sample.shape}.")
    if not np.isfinite(sample).all():
        raise ValueError(f"{name} must hold finite numbers only.")
    return sample


def _checked_confidence(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}.")
    return confidence
