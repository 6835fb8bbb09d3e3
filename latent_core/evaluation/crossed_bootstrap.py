"""Bootstrap over seeds and questions at once: every question is answered by every seed's model.

Source: Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1 (2007). Seeds and questions are crossed, so
each is drawn with replacement on its own and a cell counts as often as both were drawn. (Drawing other questions for
each seed would treat one question under five seeds as five questions.) The same draws serve every arm, so that
differences are paired by seed and question. The variance errs on the large side where cells are mostly noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from latent_core.evaluation.scores import Floats
from latent_core.evaluation.statistics import Estimate


@dataclass(frozen=True)
class Draws:
    """How often each seed and question was drawn, in shares: (resamples, seeds) and (resamples, questions).

    Every row sums to 1.
    """

    seeds: Floats
    questions: Floats

    @property
    def resamples(self) -> int:
        return len(self.seeds)

    def means(self, values: Floats) -> Floats:
        """Resampled means of values (seeds, …, questions) → (resamples, …)."""
        seeds, *between, questions = values.shape
        by_question = self.questions @ values.reshape(-1, questions).T  # (resamples, seeds × between)
        weighted = np.einsum("rs,rsb->rb", self.seeds, by_question.reshape(self.resamples, seeds, -1))
        return np.asarray(weighted.reshape(self.resamples, *between), dtype=np.float64)


def draw(seeds: int, questions: int, *, resamples: int, seed: int) -> Draws:
    """Raises ValueError unless all counts are at least 1."""
    if min(seeds, questions, resamples) < 1:
        raise ValueError(f"seeds, questions and resamples must be at least 1: {seeds}, {questions}, {resamples}.")
    random = np.random.default_rng(seed)
    drawn = [
        random.multinomial(size, np.full(size, 1 / size), size=resamples).astype(np.float64) / size
        for size in (seeds, questions)
    ]
    return Draws(*drawn)


def interval(value: float, resampled: Floats, confidence: float = 0.95) -> Estimate:
    """Percentile interval of resampled values around the observed one, its ends among the values themselves.

    It excludes zero just where `two_sided_p` is at most 1 - confidence, unless there are too few resamples for such a
    p-value: then the ends are the smallest and the largest value.
    """
    ordered = np.sort(resampled)
    outside = max(1, math.floor((1 - confidence) * (len(ordered) + 1) / 2 + 1e-9))
    return Estimate(value, float(ordered[outside - 1]), float(ordered[-outside]))


def two_sided_p(resampled: Floats) -> float:
    """p-value of no difference, by inverting the percentile interval: twice the smaller tail beyond zero.

    Source: Davison and Hinkley, "Bootstrap Methods and their Application" (1997), section 5.4; 1 is added to both
    counts, so that it is never 0.
    """
    tail = min(int((resampled <= 0).sum()), int((resampled >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (len(resampled) + 1))
