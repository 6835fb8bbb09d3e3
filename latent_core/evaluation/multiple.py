"""Many comparisons at once: Holm's correction, and what may be said of a difference afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from latent_core.evaluation.statistics import Estimate

ALPHA = 0.05  # what a family's tests may err by together


class Verdict(StrEnum):
    """What an interval of a difference supports; the first that holds."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"  # the whole interval lies within the margin
    UNDECIDED = "no difference shown"


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of a family, in the given order: at most 1, never below the given ones.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
    (1979).
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def holm_confidence(p_values: Sequence[float], alpha: float = ALPHA) -> list[float]:
    """The confidence of each comparison's adjusted interval: 1 − α/m at the step at which Holm tested it.

    The k comparisons that Holm rejects were tested at α/n, α/(n − 1), …; the others, of which it tests no more, at
    α/(n − k). An interval at this level excludes no difference just where Holm rejects it (Strassburger and Bretz,
    Statistics in Medicine 27 (2008), give the others α/(n − k) too).
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    levels, count = [0.0] * len(p_values), len(p_values)
    step, rejecting = 0, True
    for rank, place in enumerate(order):
        if rejecting:
            step = rank
            rejecting = p_values[place] <= alpha / (count - rank)
        levels[place] = 1 - alpha / (count - step)
    return levels


def verdict(difference: Estimate, adjusted_p: float, margin: float, alpha: float = ALPHA) -> Verdict:
    """What the adjusted interval of a difference says; `margin` in the difference's unit.

    Better and worse need the adjusted p-value too: at the very edge rounding may part the two.
    """
    if adjusted_p <= alpha and difference.low > 0:
        return Verdict.BETTER
    if adjusted_p <= alpha and difference.high < 0:
        return Verdict.WORSE
    return Verdict.EQUIVALENT if -margin < difference.low and difference.high < margin else Verdict.UNDECIDED


def verdict_text(found: Verdict, margin: float) -> str:
    """For a table: equivalent within 3 points."""
    return f"{found} within {100 * margin:g} points" if found is Verdict.EQUIVALENT else str(found)
