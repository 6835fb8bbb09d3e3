"""Uncertainty over seeds and questions at once: every question is answered by every seed's model.

Seeds and questions are crossed, so each is drawn with replacement on its own (Owen, "The pigeonhole bootstrap", Annals
of Applied Statistics 1 (2007)); drawing other questions for each seed would treat one question under five seeds as
five. The same draws serve every arm, so that differences are paired by seed and question.

Percentiles of such draws are not to be trusted with few seeds: five differences have one sign by chance once in 16
times, and then no draw has the other. So only variances are taken from the draws, and intervals are Student's t with
Satterthwaite's degrees of freedom (Biometrics Bulletin 2 (1946)), which are near the number of seeds where seeds make
the difference, and large where questions do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from latent_core.evaluation.scores import Floats
from latent_core.evaluation.statistics import Estimate


class Resampled(NamedTuple):
    """A statistic, each (resamples, …): with seeds drawn, with questions drawn, and with both."""

    seeds: Floats
    questions: Floats
    both: Floats


class Uncertainty(NamedTuple):
    """Standard error of a statistic, and its degrees of freedom."""

    error: float
    freedom: float

    def interval(self, value: float, confidence: float = 0.95) -> Estimate:
        """Student's t interval around the observed value."""
        reach = self.error * float(stats.t.isf((1 - confidence) / 2, self.freedom)) if self.error else 0.0
        return Estimate(value, value - reach, value + reach)

    def p_value(self, value: float) -> float:
        """Two-sided p-value of the statistic being 0."""
        if self.error == 0:
            return float(value == 0)
        return float(2 * stats.t.sf(abs(value) / self.error, self.freedom))


def over_seeds(values: Floats) -> Uncertainty:
    """Of the mean of one value a seed, (seeds,), two or more: Student's, which takes questions as given."""
    return Uncertainty(float(values.std(ddof=1)) / math.sqrt(len(values)), len(values) - 1)


@dataclass(frozen=True)
class Draws:
    """How often each seed and question was drawn, in shares: (resamples, seeds) and (resamples, questions).

    Every row sums to 1.
    """

    seeds: Floats
    questions: Floats

    def means(self, values: Floats) -> Resampled:
        """Resampled means of values (seeds, …, questions) → (resamples, …)."""
        seeds, *between, questions = values.shape
        resamples = len(self.seeds)
        by_question = (self.questions @ values.reshape(-1, questions).T).reshape(resamples, seeds, -1)
        both = np.einsum("rs,rsb->rb", self.seeds, by_question)
        by_seed = self.seeds @ values.mean(axis=-1).reshape(seeds, -1)
        shape = (resamples, *between)
        return Resampled(*(part.reshape(shape) for part in (by_seed, by_question.mean(axis=1), both)))

    def uncertainty(self, resampled: Resampled) -> Uncertainty:
        """Of one statistic, (resamples,) each; NaN are left out.

        With variances of means over seeds s, questions q and single answers e, drawing seeds shows s + e, drawing
        questions q + e, and drawing both s + q + 3e; what is wanted is s + q + e. It is never less than the larger of
        the first two.
        """
        by_seed, by_question, both = (float(np.nanvar(part)) for part in resampled)
        seeds, questions = self.seeds.shape[1], self.questions.shape[1]
        answers = max(0.0, both - by_seed - by_question) / ((1 - 1 / seeds) * (1 - 1 / questions))
        by_seed, by_question = by_seed / (1 - 1 / seeds), by_question / (1 - 1 / questions)
        variance = max(by_seed, by_question, by_seed + by_question - answers)
        if variance <= _NOTHING:
            return Uncertainty(0.0, seeds - 1)
        freedom = variance**2 / (by_seed**2 / (seeds - 1) + by_question**2 / (questions - 1))
        return Uncertainty(math.sqrt(variance), freedom)


def uncertainties(cells: Floats, draws: Draws) -> tuple[Uncertainty, Uncertainty]:
    """Of the mean of paired differences, (seeds, questions): over seeds and questions, and over the seeds' means alone.

    Where questions differ little, trainings make most of a difference, and few seeds are a trap for the first: now and
    again three trainings agree by chance, and the difference is taken for one that questions make, with their many
    degrees of freedom. So such a difference has to hold twice.
    """
    return draws.uncertainty(draws.means(cells)), over_seeds(cells.mean(axis=1))


def widest(value: float, of: Sequence[Uncertainty], confidence: float = 0.95) -> Estimate:
    """The widest of the intervals around an observed value."""
    return max((one.interval(value, confidence) for one in of), key=lambda found: found.high)


_NOTHING = 1e-24  # variance that rounding leaves of equal numbers


def map_resampled(statistic: Callable[..., Floats], *curves: Resampled) -> Resampled:
    """The statistic of each kind of draw."""
    return Resampled(*(statistic(*parts) for parts in zip(*curves, strict=True)))


def draw(seeds: int, questions: int, *, resamples: int, seed: int) -> Draws:
    """Raises ValueError unless there are at least 2 seeds, 2 questions and 2 resamples."""
    if min(seeds, questions, resamples) < 2:
        raise ValueError(f"seeds, questions and resamples must be at least 2: {seeds}, {questions}, {resamples}.")
    random = np.random.default_rng(seed)
    drawn = [
        random.multinomial(size, np.full(size, 1 / size), size=resamples).astype(np.float64) / size
        for size in (seeds, questions)
    ]
    return Draws(*drawn)
