"""What estimators and filters share: a group's returns as an array, and when they count as equal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from latent_core.errors import InputError

Floats = npt.NDArray[np.float64]
# Returns that differ by less than this share of the largest one, or of 1, are sums of the same numbers in another
# order: sums that cancel to about 0 keep the rounding of what they are made of.
_ROUNDING = 64 * float(np.finfo(np.float64).eps)


def finite(name: str, values: Sequence[float] | npt.ArrayLike) -> Floats:
    """`values` as float64, shape (n,). Raises InputError where they are not finite numbers in one dimension."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise InputError(f"{name}: expected one dimension, found the shape {array.shape}")
    if not np.isfinite(array).all():
        place = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InputError(f"{name}: {array[place]} at place {place} is no finite number; leave failed rollouts out")
    return array


def are_equal(returns: Floats) -> bool:
    """Whether the returns are the same up to rounding, so that their group teaches nothing. One return is."""
    return bool(np.ptp(returns) <= _ROUNDING * max(1.0, float(np.abs(returns).max())))


def deviation(returns: Floats) -> float:
    """Standard deviation (ddof 1), exactly 0 for returns that are equal up to rounding. Their order changes no bit."""
    return 0.0 if are_equal(returns) else float(np.std(np.sort(returns), ddof=1))
