"""At which ratios a chain of thought is used (`prepare.policy`), and which examples leave theirs to the model."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from latent_core.config.prepare import PrepareConfig, RatioLabel, RatioPolicy

Row = Mapping[str, Any]
Key = tuple[str, int]  # question id, sample index


def choose_ratios(available: Sequence[float], key: Key, config: PrepareConfig, accounting: Counter[str]) -> list[float]:
    """The ratios at which a record is used; a drawn ratio that is missing is redrawn among the others and counted."""
    ratios = taught_ratios(config)
    if config.policy is RatioPolicy.ALL_RATIOS:
        accounting["missing_ratio"] += len(set(ratios) - set(available))
        return [ratio for ratio in ratios if ratio in available]
    draw = random.Random(f"ratio/{config.seed}/{key[0]}/{key[1]}")
    order = draw.sample(ratios, len(ratios))
    there = [ratio for ratio in order if ratio in available]
    if not there:
        accounting["missing_ratio"] += 1
    elif there[0] != order[0]:
        accounting["redrawn"] += 1
    return there[:1]


def taught_ratios(config: PrepareConfig) -> tuple[float, ...]:
    """The ratios that a policy chooses among: the requested ones, or the buckets that these are sorted into."""
    return config.labels if config.ratio_label is RatioLabel.BUCKET else config.ratios


def balanced_ratios(samples: int, question_id: str, config: PrepareConfig) -> list[list[float]]:
    """The ratios of each of a question's samples, so that the question is used at every ratio equally often.

    The ratios share the samples out in equal blocks, the last of which go round to the first again; where the blocks
    start is drawn per question. Every sample is used at least once, none twice at a ratio.
    """
    chosen: list[list[float]] = [[] for _ in range(samples)]
    ratios = taught_ratios(config)
    each = -(-samples // len(ratios))
    start = random.Random(f"balanced/{config.seed}/{question_id}").randrange(samples)
    for place in range(each * len(ratios)):
        chosen[(start + place) % samples].append(ratios[place // each])
    return chosen


def asks_auto(sample: Row, ratio: float, config: PrepareConfig) -> bool:
    """Whether an example's prompt leaves the ratio to the model: drawn for each, so that all ratios have a like share.

    The target names the example's own ratio all the same: asked for `auto`, a model learns the mix of its examples.
    """
    key = f"auto/{config.seed}/{sample['question_id']}/{sample['sample_index']}/{ratio:g}"
    return config.auto_share > 0 and random.Random(key).random() < config.auto_share
