"""Rewards of graded completions."""

from __future__ import annotations

import pytest

from latent_core.config.grpo import RewardConfig
from latent_core.rl.rewards import below_the_worst, verdict_reward


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


WHOLE = [-0.5, -1.0, -1.5, -2.0, -2.5, -3.0, -3.5]


def test_malformed_completion_is_a_little_below_the_worst_of_its_group_and_leaves_the_others_their_spread() -> None:
    found = below_the_worst([*WHOLE, -30.0], [False] * 7 + [True], 8)
    assert found[:7] == WHOLE and found[7] == pytest.approx(-3.5 - 1.0)
    assert below_the_worst([-1.0, -30.0], [False, True], 2) == [-1.0, pytest.approx(-1.1)]


def test_malformed_completions_of_one_group_do_not_touch_another_and_alone_they_are_equal() -> None:
    found = below_the_worst([-30.0, -30.1, -1.0, -2.0], [True, True, False, False], 2)
    assert found == [-30.1, -30.1, -1.0, -2.0]
