"""Accuracy at equal achieved tokens: an arm's points, one a ratio, joined by straight lines in tokens.

Nothing is extrapolated: below an arm's shortest and above its longest point it has no accuracy (NaN).
"""

from __future__ import annotations

import numpy as np

from latent_core.evaluation.scores import Floats

_STEPS = 33  # budgets, evenly spaced, over which the mean over a common range is taken (trapezoidal rule)


def accuracy_at(tokens: Floats, accuracy: Floats, budgets: Floats) -> Floats:
    """Curves (…, points) at budgets (budgets,) or (…, budgets) → (…, budgets); NaN outside the curve's range.

    Points are joined in the order of their tokens; of points with equal tokens the mean is taken.
    """
    across, up = _sorted_curves(tokens, accuracy)
    wanted = np.broadcast_to(budgets, (*across.shape[:-1], np.shape(budgets)[-1]))
    found = np.full(wanted.shape, np.nan)
    for left in range(across.shape[-1] - 1):
        low, high = across[..., left, None], across[..., left + 1, None]
        inside = (wanted >= low) & (wanted <= high)
        width = np.where(high > low, high - low, 1.0)
        share = (wanted - low) / width
        value = up[..., left, None] * (1 - share) + up[..., left + 1, None] * share
        found = np.where(inside & (high > low), value, found)
    for point in range(across.shape[-1]):  # budgets that meet a point, also where it stands alone
        found = np.where(wanted == across[..., point, None], up[..., point, None], found)
    return found


def common_range(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """The tokens that both curves reach, (…, points) each → lowest and highest (…); lowest > highest where none."""
    low = np.maximum(first.min(axis=-1), second.min(axis=-1))
    return low, np.minimum(first.max(axis=-1), second.max(axis=-1))


def mean_difference(tokens: Floats, accuracy: Floats, control_tokens: Floats, control_accuracy: Floats) -> Floats:
    """Mean of the arm's accuracy minus the control's over the tokens that both reach, (…, points) → (…).

    NaN where the curves have no range in common.
    """
    low, high = common_range(tokens, control_tokens)
    steps = np.linspace(0, 1, _STEPS)
    budgets = np.clip(low[..., None] + (high - low)[..., None] * steps, low[..., None], high[..., None])
    budgets[..., -1] = high
    difference = accuracy_at(tokens, accuracy, budgets) - accuracy_at(control_tokens, control_accuracy, budgets)
    weights = np.full(_STEPS, 1 / (_STEPS - 1))
    weights[[0, -1]] /= 2
    return np.where(low < high, (difference * weights).sum(axis=-1), np.nan)


def _sorted_curves(tokens: Floats, accuracy: Floats) -> tuple[Floats, Floats]:
    order = np.argsort(tokens, axis=-1, kind="stable")
    across = np.take_along_axis(tokens, order, -1)
    up = np.take_along_axis(accuracy, order, -1)
    equal = (across[..., None, :] == across[..., :, None]).astype(np.float64)
    return across, np.asarray((equal * up[..., None, :]).sum(axis=-1) / equal.sum(axis=-1), dtype=np.float64)
