"""Non-inferiority: whether a difference in accuracy excludes a loss of a margin that was stated beforehand.

Source: Piaggio et al., "Reporting of noninferiority and equivalence randomized trials" (CONSORT), JAMA 308 (2012): one
test on one side at half of alpha, which is whether the two-sided interval at 1 − alpha lies above minus the margin.
"No significant difference" is not that: few questions show no difference either.
"""

from __future__ import annotations

from collections.abc import Sequence

from scipy import stats

from latent_core.evaluation.arm_comparisons import Difference
from latent_core.evaluation.multiple import ALPHA, holm


def noninferiority_p(differences: Sequence[Difference], margin: float) -> list[float | None]:
    """One-sided p-values of a loss of at least `margin` (a fraction), by Holm over all; None where there is no
    difference."""
    p_values = [
        float(stats.t.sf((item.difference.value + margin) / item.error, item.freedom))
        for item in differences
        if item.difference is not None and item.error and item.freedom
    ]
    adjusted = iter(holm(p_values))
    return [
        next(adjusted) if item.difference is not None and item.error and item.freedom else None for item in differences
    ]


def is_non_inferior(adjusted_p: float | None) -> bool:
    """Whether a corrected p-value of `noninferiority_p` excludes the loss."""
    return adjusted_p is not None and adjusted_p <= ALPHA / 2
