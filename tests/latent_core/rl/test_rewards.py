"""Rewards of graded completions, and the groups that teach something."""

from __future__ import annotations

import pytest

from latent_core.config.grpo import RewardConfig
from latent_core.rl.rewards import kept_groups, levelled, verdict_reward


@pytest.mark.parametrize(
    ("verdict", "tokens", "expected"),
    [
        ("correct", 0, 1.0),
        ("correct", 50, 0.8),
        ("correct", 100, 0.6),
        ("correct", 400, 0.6),  # a prompt's own limit may be above the one that is asked for
        ("wrong", 50, 0.0),
        ("unparsed", 50, -0.1),
        ("truncated", 100, -0.1),
    ],
)
def test_reward_of_a_verdict_and_a_length(verdict: str, tokens: int, expected: float) -> None:
    row = {"verdict": verdict, "reasoning_tokens": tokens}
    assert verdict_reward(row, RewardConfig(length_cost=0.4), max_new_tokens=100) == pytest.approx(expected)


SPREAD = [[0.0, 0.0], [0.0, 1.0], [0.0, 0.5], [0.0, 0.1]]  # deviations 0, 0.71, 0.35, 0.07: 63, 31 and 6 % of the sum


@pytest.mark.parametrize(
    ("share", "kept"),
    [(0.5, [1]), (0.62, [1]), (0.63, [1, 2]), (0.9, [1, 2]), (0.95, [1, 2, 3]), (1.0, [1, 2, 3])],
)
def test_groups_of_the_most_diverse_rewards_are_kept_until_they_hold_the_share(share: float, kept: list[int]) -> None:
    assert [index for index, taken in enumerate(kept_groups(SPREAD, share)) if taken] == kept


def test_group_that_begins_just_where_the_share_ends_is_left_out() -> None:
    assert kept_groups([[0.0, 1.0], [0.0, 1.0]], 0.5) == [True, False]


def test_group_whose_rewards_are_equal_teaches_nothing() -> None:
    assert kept_groups([[1.0, 1.0, 1.0]] * 3, 1.0) == [False] * 3


def test_all_groups_of_equal_diversity_are_kept_at_share_one() -> None:
    assert kept_groups([[0.0, 1.0, 1.0]] * 7, 1.0) == [True] * 7


def test_group_that_is_left_out_has_its_mean_as_every_reward() -> None:
    kept = [True, True, False, False, True, True]
    assert levelled([0.0, 1.0, 0.0, 0.5, 0.3, 0.3], kept, 2) == [0.0, 1.0, 0.25, 0.25, 0.3, 0.3]
