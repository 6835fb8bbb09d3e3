"""FrozenLake: gymnasium's own table, and a solver that agrees with counting all plans."""

from __future__ import annotations

from collections import Counter
from itertools import product
from random import Random

import gymnasium
import pytest

from latent_core.rl.environments import find_environment
from latent_core.rl.environments.frozen_lake import ACTIONS, FrozenLake, best_action, draw_map, values


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
    assert first == "___H\nG_H_\n_P__\n_H__" and info["state"] == 9
    answers = [lake.step(action) for action in ("up", "left")]
    assert [answer[:3] for answer in answers] == [
        ("___H\nGPH_\n____\n_H__", 0, False),
        ("___H\n*_H_\n____\n_H__", 1, True),
    ]
    assert not answers[1][3] and answers[1][4]["success"] is True


def test_hole_ends_the_game_without_reward() -> None:
    observation, reward, terminated, _, info = _lake(0).step("down")
    assert observation == "___H\nG_H_\n____\n_X__" and reward == 0 and terminated and info["success"] is False


def test_edge_keeps_the_player_and_is_legal() -> None:
    lake = _lake(0)
    lake.step("left")
    *_, info = lake.step("left")
    assert info["valid"] and info["state"] == 8


def test_maps_need_at_least_two_moves_and_differ() -> None:
    maps = [draw_map(Random(seed)) for seed in range(100)]
    assert len({tuple(rows) for rows in maps}) > 95
    for rows in maps:
        start, goal = (divmod("".join(rows).index(tile), 4) for tile in "SG")
        assert abs(start[0] - goal[0]) + abs(start[1] - goal[1]) >= 2


def test_slips_go_each_way_as_often_and_depend_on_the_seed() -> None:
    asked_right = Counter[int]()
    for seed in range(400):
        lake = _lake(seed, is_slippery=True)
        row, column = divmod(lake.position, 4)
        lake.step("right")
        if 0 < row < 3 and column < 3:
            asked_right[lake.position - 4 * row - column] += 1
    assert set(asked_right) == {1, -4, 4}
    assert min(asked_right.values()) > 0.25 * asked_right.total()


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
    assert set(table[4].values()) == {0, 1}
    for state in range(0, 16, 2):
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
    for state in range(0, 16, 3):
        assert table[3][state] == pytest.approx(_policy_value(lake, state, 3))
    assert max(table[3].values()) > 0.5


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
