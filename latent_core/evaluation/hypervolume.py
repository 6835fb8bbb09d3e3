"""Hypervolume of accuracy over tokens: how much of the plane an arm's points dominate, one number for a whole curve.

Source: Zitzler and Thiele, "Multiobjective evolutionary algorithms", IEEE TEC 3 (1999). Accuracy is to be high and
tokens low; a point dominates the rectangle between itself and the reference point (`reference` tokens, accuracy 0). The
area is divided by reference × 1, so it lies in [0, 1]: the mean, over all budgets up to the reference, of the best
accuracy that the arm reaches within the budget.
"""

from __future__ import annotations

import numpy as np

from latent_core.evaluation.scores import Floats

REFERENCE_FACTOR = 1.25  # the reference point lies at this share of the untrained model's tokens


def hypervolume(tokens: Floats, accuracy: Floats, reference: float) -> Floats:
    """Shape (…, points) each → (…). Points at or beyond the reference dominate nothing. Raises ValueError unless
    reference > 0."""
    if reference <= 0:
        raise ValueError(f"reference must be positive, not {reference}.")
    order = np.argsort(tokens, axis=-1, kind="stable")
    across = np.clip(np.take_along_axis(tokens, order, -1) / reference, 0, 1)
    best = np.maximum.accumulate(np.take_along_axis(accuracy, order, -1), axis=-1)
    ends = np.concatenate([across[..., 1:], np.ones_like(across[..., :1])], axis=-1)
    return np.asarray((best * (ends - across)).sum(axis=-1), dtype=np.float64)
