"""Uncertainty of paired differences where there may be one training only: over questions, and over several seeds.

With one seed nothing is known of other seeds: intervals hold for new questions and this very model. To every variance
is added that of one answer on which two models differ, (1 / (questions + 2))²: as Agresti and Min, "Simple improved
confidence intervals for comparing matched proportions", Statistics in Medicine 24 (2005), add half an observation to
each cell of the paired table. Without it two models that happen to agree on eight questions would be equal for certain.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from latent_core.evaluation.crossed_bootstrap import Draws, Resampled, Uncertainty, draw
from latent_core.evaluation.scores import Floats
from latent_core.evaluation.statistics import Estimate


class QuestionDraws(Draws):
    """`Draws` that may have one seed, and whose uncertainty is never nothing."""

    def uncertainty(self, resampled: Resampled) -> Uncertainty:
        """Of one statistic in fractions of the questions, (resamples,) each; NaN are left out."""
        seeds, questions = self.seeds.shape[1], self.questions.shape[1]
        if seeds == 1:
            variance = float(np.nanvar(resampled.questions)) / (1 - 1 / questions)
            found = Uncertainty(math.sqrt(variance), questions - 1)
        else:
            found = super().uncertainty(resampled)
        return _never_nothing(found, questions)


class PairedShares(NamedTuple):
    """A mean difference with its 95 % interval within −1 and 1, and the two-sided p-value of no difference."""

    difference: Estimate
    p: float


def paired_shares(before: Floats, after: Floats, *, samples: float = 1) -> PairedShares:
    """Mean difference of two shares of correct answers, (questions,), after less before: Student's, over questions.

    `samples` of each question were answered, in the mean: one answer that differs is that part of its question. Of a
    single question nothing is known.
    """
    differences = after - before
    value, questions = float(differences.mean()), len(differences)
    if questions == 1:
        return PairedShares(Estimate(value, -1.0, 1.0), 1.0)
    error = float(differences.std(ddof=1)) / math.sqrt(questions)
    found = _never_nothing(Uncertainty(error, questions - 1), questions, samples)
    _, low, high = found.interval(value)
    return PairedShares(Estimate(value, max(-1.0, low), min(1.0, high)), found.p_value(value))


def _never_nothing(found: Uncertainty, questions: int, samples: float = 1) -> Uncertainty:
    return Uncertainty(math.hypot(found.error, 1 / (samples * (questions + 2))), found.freedom)


def draw_questions(seeds: int, questions: int, *, resamples: int, seed: int) -> QuestionDraws:
    """Raises ValueError unless there is at least 1 seed, and 2 questions and 2 resamples."""
    drawn = draw(max(seeds, 2), questions, resamples=resamples, seed=seed)
    return QuestionDraws(np.ones((resamples, 1)) if seeds == 1 else drawn.seeds, drawn.questions)
