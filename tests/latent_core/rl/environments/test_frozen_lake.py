"""FrozenLake: gymnasium's own table, and a solver that agrees with counting all plans."""

from __future__ import annotations

from itertools import product

import gymnasium
import pytest

from latent_core.rl.environments import find_environment
from latent_core.rl.environments.frozen_lake import ACTIONS, FrozenLake, best_action, values


def _lake(seed: int, *, is_slippery: bool = False, max_turns: int = 12) -> FrozenLake:
    lake = FrozenLake(is_slippery=is_slippery, max_turns=max_turns)
    lake.reset(seed)
    return lake


@pytest.mark.parametrize("is_slippery", [False, True])
def test_transitions_are_those_of_the_registered_gymnasium_environment(is_slippery: bool) -> None:
    lake = _lake(1, is_slippery=is_slippery)
    theirs = gymnasium.make("FrozenLake-v1", desc=lake.rows, is_slippery=is_slippery)
    assert lake.transitions == theirs.unwrapped.P  # type: ignore[attr-defined]


def test_known_walk_ends_at_the_goal_with_reward_one() -> None:
    lake = FrozenLake(is_slippery=False, max_turns=12)
    first, info = lake.reset(0)
    assert first == "P___\nHH__\n_HH_\nH__G" and info["state"] == 0
    answers = [lake.step(action) for action in "right right right down down down".split()]
    assert [answer[1] for answer in answers] == [0, 0, 0, 0, 0, 1]
    observation, _, terminated, truncated, info = answers[-1]
    assert observation == "____\nHH__\n_HH_\nH__*" and terminated and not truncated and info["success"] is True


def test_hole_ends_the_game_without_reward() -> None:
    lake = _lake(0)
    observation, reward, terminated, _, info = lake.step("down")
    assert observation == "____\nXH__\n_HH_\nH__G" and reward == 0 and terminated and info["success"] is False


def test_edge_keeps_the_player_and_is_legal() -> None:
    *_, info = _lake(0).step("up")
    assert info["valid"] and info["state"] == 0


def test_slips_are_not_the_same_at_every_seed() -> None:
    """Right from the corner goes right, down, or against the upper edge."""
    ends = {_lake(seed, is_slippery=True).step("right")[4]["state"] for seed in range(30)}
    assert ends == {0, 1, 4}


def _plan_value(lake: FrozenLake, plan: tuple[str, ...], state: int) -> float:
    """Expected return of a fixed sequence of actions."""
    if not plan:
        return 0.0
    return sum(
        chance * (reward + (0.0 if ends else _plan_value(lake, plan[1:], then)))
        for chance, then, reward, ends in lake.transitions[state][ACTIONS[plan[0]]]
    )


def test_deterministic_values_equal_the_best_of_all_plans() -> None:
    lake = _lake(1)
    table = values(lake.transitions, 4)
    for state in range(16):
        if lake.rows[state // 4][state % 4] in "HG":
            continue
        assert table[4][state] == max(_plan_value(lake, plan, state) for plan in product(ACTIONS, repeat=4))


def _policy_value(lake: FrozenLake, state: int, turns: int) -> float:
    """Best expected return by search through all choices after all outcomes."""
    if turns == 0:
        return 0.0
    return max(
        sum(
            chance * (reward + (0.0 if ends else _policy_value(lake, then, turns - 1)))
            for chance, then, reward, ends in outcomes
        )
        for outcomes in lake.transitions[state].values()
    )


def test_slippery_values_equal_a_search_through_all_choices_and_outcomes() -> None:
    lake = _lake(1, is_slippery=True)
    table = values(lake.transitions, 3)
    goal = 15
    for state in (goal - 1, goal - 2, goal - 4, goal - 5):
        assert table[3][state] == pytest.approx(_policy_value(lake, state, 3))


def test_best_actions_attain_the_optimum_of_every_deterministic_map() -> None:
    spec = find_environment("frozen_lake")
    for seed in range(15):
        lake = _lake(seed)
        table = values(lake.transitions, spec.max_turns)
        total, is_over = 0.0, False
        while not is_over:
            action = best_action(lake.transitions, table, lake.position, lake.turns_left)
            _, reward, terminated, truncated, _ = lake.step(action)
            total, is_over = total + reward, terminated or truncated
        assert spec.optimum is not None and total == spec.optimum(seed) == 1


def test_best_actions_on_slippery_ice_reach_the_goal_as_often_as_the_optimum_says() -> None:
    spec = find_environment("frozen_lake_slippery")
    assert spec.optimum is not None
    wins = expected = 0.0
    for seed in range(150):
        lake = _lake(seed, is_slippery=True, max_turns=spec.max_turns)
        table = values(lake.transitions, spec.max_turns)
        expected += spec.optimum(seed)
        is_over = False
        while not is_over:
            action = best_action(lake.transitions, table, lake.position, lake.turns_left)
            _, reward, terminated, truncated, _ = lake.step(action)
            wins, is_over = wins + reward, terminated or truncated
    assert abs(wins - expected) / 150 < 0.1  # 2.5 standard errors
