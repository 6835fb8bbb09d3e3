"""Seeded permutations without fixed points, for controls in which everything stands in another's place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from latent_core.errors import InputError


def derangement(size: int, seed: int | Sequence[int]) -> npt.NDArray[np.int64]:
    """A permutation of `range(size)` that leaves nothing in its place, int64, shape (size,).

    It is one cycle through all places, each such cycle equally likely (Sattolo, "An algorithm to generate a random
    cyclic permutation", Inf. Process. Lett. 22, 1986). Raises `InputError` for fewer than two places.
    """
    if size < 2:
        raise InputError(f"nothing else can take the place of one of {size}; give at least two")
    order = np.random.default_rng(seed).permutation(size)
    result = np.empty(size, dtype=np.int64)
    result[order] = np.roll(order, 1)
    return result
