"""Compressed texts sorted by the ratio that they achieved, as in Extra-CoT (arXiv 2602.08324).

A compressor that is asked for 0.5 keeps 0.41 of one text and 0.58 of the next. A bucket collects what came near it, so
that the ratio in a prompt is what its text has, and not what was asked of the compressor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from latent_core.config.prepare import PrepareConfig

_HAIR = 1e-9  # two distances that differ by less are equal: 0.3 lies halfway between 0.2 and 0.4


class Text(NamedTuple):
    """A chain of thought, the share of the target model's tokens that it has, and the share that was requested."""

    reasoning: str
    achieved: float
    requested: float


Variants = dict[float, Text]
"""The texts of one sample, by the ratio that they are taught at."""


def nearest_bucket(achieved: float, buckets: Sequence[float], tolerance: float) -> float | None:
    """The bucket below 1 that is nearest to a compressed text's achieved ratio; None if it is farther than `tolerance`.

    Of two as near the larger, which the text does not exceed.
    """
    shorter = [bucket for bucket in buckets if bucket < 1]
    least = min(abs(achieved - bucket) for bucket in shorter)
    if least > tolerance + _HAIR:
        return None
    return max(bucket for bucket in shorter if abs(achieved - bucket) <= least + _HAIR)


def bucketed(variants: Variants, config: PrepareConfig, accounting: Counter[str]) -> Variants:
    """The compressed texts of one sample by bucket, of those that were requested at `prepare.ratios`.

    Of several in one bucket the one nearest to it is kept, the longer of two as near. `accounting` counts the others as
    `same_bucket`, and those that are far from every bucket as `no_bucket`.
    """
    found: Variants = {}
    for text in variants.values():
        if text.requested == 1.0 or text.requested not in config.ratios:
            continue
        bucket = nearest_bucket(text.achieved, config.labels, config.bucket_tolerance)
        if bucket is None:
            accounting["no_bucket"] += 1
            continue
        if bucket in found:
            accounting["same_bucket"] += 1
        if bucket not in found or _rank(text, bucket) < _rank(found[bucket], bucket):
            found[bucket] = text
    return found


def _rank(text: Text, bucket: float) -> tuple[float, float, float]:
    return round(abs(text.achieved - bucket), 9), -text.achieved, -text.requested
