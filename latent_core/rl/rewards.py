"""What completions are worth, and which groups of them say anything: plain arithmetic on graded rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from latent_core.config.grpo import RewardConfig

Row = Mapping[str, Any]
Floats = npt.NDArray[np.float64]


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


def kept_groups(rewards: Sequence[Sequence[float]], share: float) -> list[bool]:
    """Which groups of rewards, shape (groups, samples), teach something: the signal-to-noise filter of RAGEN-2.

    Groups are taken in descending order of their rewards' standard deviation (ddof 1) until these add up to `share` of
    the sum over all groups. A group whose rewards are all equal is never taken.
    """
    deviations: Floats = np.asarray([np.std(group, ddof=1) for group in rewards])
    order = np.argsort(-deviations, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(deviations[order])[:-1]])
    # A hair below the share, so that 1 does not ask for the last bits of a sum.
    taken = (before < share * deviations.sum() * (1 - 1e-12)) & (deviations[order] > 0)
    kept = np.zeros(len(deviations), dtype=bool)
    kept[order[taken]] = True
    return [bool(group) for group in kept]


def levelled(rewards: Sequence[float], kept: Sequence[bool], samples: int) -> list[float]:
    """The rewards, shape (groups x samples,), those of a group that is not `kept` at the group's mean: no advantage."""
    result = list(rewards)
    for start in range(0, len(result), samples):
        if not kept[start]:
            result[start : start + samples] = [float(np.mean(result[start : start + samples]))] * samples
    return result
