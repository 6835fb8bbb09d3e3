"""Best first until the wanted length is reached: how many of the highest scores make a text of a given length."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def best_first(score: NDArray[np.floating], forced: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Places in falling order of score, shape (n,), those that are forced before all; of equals the earlier first."""
    return np.lexsort((-score, ~forced))


def nearest_count(length: Callable[[int], int], wanted: float, least: int, most: int) -> int:
    """The number k from `least` to `most` whose `length(k)` comes closest to `wanted`; of two as close the larger.

    `length` need not rise at every step (a word more can cost a token less): bisection keeps the invariant
    length(k - 1) < wanted <= length(k), so that the result is within what one more item adds, unless the least is too
    long or the most too short.
    """
    low, high = least, most
    if low >= high or length(low) >= wanted:
        return low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if length(middle) < wanted else (low, middle)
    return high if length(high) - wanted <= wanted - length(low) else low
