"""Uncertainty of paired differences where there may be one training only: over questions, and over several seeds.

With one seed nothing is known of other seeds: intervals hold for new questions and this very model. To every variance
is added that of one question on which two models differ, (1 / (questions + 2))²: as Agresti and Min, "Simple improved
confidence intervals for comparing matched proportions", Statistics in Medicine 24 (2005), add half an observation to
each cell of the paired table. Without it two models that happen to agree on eight questions would be equal for certain.
"""

from __future__ import annotations

import math

import numpy as np

from latent_core.evaluation.crossed_bootstrap import Draws, Resampled, Uncertainty, draw


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
        return Uncertainty(math.hypot(found.error, 1 / (questions + 2)), found.freedom)


def draw_questions(seeds: int, questions: int, *, resamples: int, seed: int) -> QuestionDraws:
    """Raises ValueError unless there is at least 1 seed, and 2 questions and 2 resamples."""
    drawn = draw(max(seeds, 2), questions, resamples=resamples, seed=seed)
    return QuestionDraws(np.ones((resamples, 1)) if seeds == 1 else drawn.seeds, drawn.questions)
