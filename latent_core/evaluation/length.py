"""How well reasoning lengths obey the requested ratio. All counts are reasoning tokens.

The length that was asked for, n*, is the requested ratio times what the same model (same seed) writes for the same
question at ratio 1. Sources: mean relative deviation and over-budget share as in length-controlled reasoning (L1, arXiv
2503.04697); slope and rank correlation say whether a model reacts to the ratio at all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from latent_core.evaluation.scores import Floats

_ROUNDING = 1e-9  # relative; lengths are whole numbers, or means of a question's few samples


class Obedience(NamedTuple):
    """`deviation` and `over_budget` have the shape of the targets; `left_out` counts cells whose target is 0 tokens."""

    deviation: Floats
    over_budget: Floats
    left_out: int


def obedience(tokens: Floats, full: Floats, ratios: Floats) -> Obedience:
    """|n − n*| / n* and whether n > n*, per cell: tokens (seeds, ratios, questions), full (seeds, questions).

    A length that n* misses by rounding alone (0.7 × 90 is less than 63) is not over budget. Cells
    without a target (a model that does not reason at ratio 1) are NaN and counted.
    """
    target = np.asarray(ratios)[:, None] * full[:, None, :]
    known = target > 0
    deviation = np.full(tokens.shape, np.nan)
    np.divide(np.abs(tokens - target), target, out=deviation, where=known)
    return Obedience(deviation, np.where(known, tokens > target * (1 + _ROUNDING), np.nan), int((~known).sum()))


def slope(ratios: Floats, tokens: Floats) -> Floats:
    """Least-squares slope of tokens on the ratio: tokens (…, ratios) → (…). Raises ValueError below two ratios.

    Of tokens divided by those at ratio 1, a slope of 1 is obedience and 0 is a model that ignores the ratio.
    """
    across = np.asarray(ratios, dtype=np.float64)
    if len(across) < 2:
        raise ValueError("slope: needs two ratios or more.")
    centred = across - across.mean()
    return np.asarray((tokens * centred).sum(axis=-1) / (centred**2).sum(), dtype=np.float64)


def spearman(ratios: Floats, tokens: Floats) -> Floats:
    """Spearman's rank correlation of tokens with the ratio: tokens (…, ratios) → (…), ties with their mean rank.

    Where all tokens are equal no correlation is defined; it counts as 0, since the model did not react. Raises
    ValueError below two ratios.
    """
    if len(ratios) < 2:
        raise ValueError("spearman: needs two ratios or more.")
    across, up = _centred_ranks(np.asarray(ratios, dtype=np.float64)), _centred_ranks(tokens)
    norm = np.sqrt((across**2).sum() * (up**2).sum(axis=-1))
    product = (across * up).sum(axis=-1)
    return np.asarray(np.divide(product, norm, out=np.zeros_like(norm), where=norm > 0), dtype=np.float64)


def _centred_ranks(values: Floats) -> Floats:
    below = (values[..., None, :] < values[..., :, None]).sum(axis=-1)
    equal = (values[..., None, :] == values[..., :, None]).sum(axis=-1)
    ranks = below + (equal + 1) / 2
    return np.asarray(ranks - ranks.mean(axis=-1, keepdims=True), dtype=np.float64)
