"""Can batching change which words stay? Float noise between batch shapes beside the gaps that it would have to cross.

A batch of another shape sums in another order, so a word's probability differs in its last bits. A threshold then
falls differently only where two words' probabilities lie closer together than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from latent_core.compress import ScoredText


class FloatNoise(NamedTuple):
    """Of the words' keep-probabilities, batched against exact: see `float_noise`."""

    largest: float
    median_gap: float
    spread: float


def float_noise(batched: Sequence[ScoredText], exact: Sequence[ScoredText]) -> FloatNoise:
    """The largest difference of a word's probability, and the medians over windows of gap and spread.

    Gap: the median distance between neighbours among a window's distinct probabilities in order. Spread: their
    standard deviation. Noise near the gap decides ties; noise near the spread decides everything.
    """
    noise, gaps, spreads = [0.0], [], []
    for ours, reference in zip(batched, exact, strict=True):
        for left, right in zip(ours.chunks, reference.chunks, strict=True):
            noise.append(float(np.abs(left.keep_probability - right.keep_probability).max(initial=0.0)))
            distinct = np.unique(right.keep_probability.astype(np.float64))
            spreads.append(float(right.keep_probability.astype(np.float64).std()))
            if len(distinct) > 1:
                gaps.append(float(np.median(np.diff(distinct))))
    return FloatNoise(max(noise), float(np.median(gaps)) if gaps else 0.0, float(np.median(spreads)))
