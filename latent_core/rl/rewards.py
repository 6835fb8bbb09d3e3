"""What completions are worth: plain arithmetic on graded rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latent_core.config.grpo import RewardConfig

Row = Mapping[str, Any]
LEAST_MARGIN = 0.1  # of a malformed completion below the worst of its group


def verdict_reward(row: Row, config: RewardConfig, max_new_tokens: int) -> float:
    """Of one graded completion: 1 less its length's cost if correct, 0 if wrong, `no_answer` otherwise."""
    match row["verdict"]:
        case "correct":
            return 1.0 - length_cost(row, config, max_new_tokens)
        case "wrong":
            return 0.0
    return config.no_answer


def length_cost(row: Row, config: RewardConfig, max_new_tokens: int) -> float:
    """`config.length_cost` times the share of `max_new_tokens` that the reasoning took."""
    return config.length_cost * min(1.0, float(row["reasoning_tokens"]) / max_new_tokens)


def below_the_worst(rewards: Sequence[float], malformed: Sequence[bool], samples: int) -> list[float]:
    """The rewards, shape (groups x samples,), where those of malformed completions are a little below their group's.

    A fixed low value would be nearly all of the group's spread, and leave the others next to no advantage over each
    other. A malformed completion is worth less than the worst of the others by their standard deviation, and by at
    least `LEAST_MARGIN`. In a group that is malformed throughout all are worth the same: the least of their rewards.
    """
    result = list(rewards)
    for start in range(0, len(result), samples):
        group = slice(start, start + samples)
        values, broken = np.array(rewards[group]), np.array(malformed[group])
        whole = values[~broken]
        low = whole.min() - max(LEAST_MARGIN, float(whole.std())) if len(whole) else values.min()
        result[group] = np.where(broken, low, values).tolist()
    return result
