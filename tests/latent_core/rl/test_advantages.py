"""Estimators on constructed cases of known value, and what no estimator may depend on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latent_core.errors import InputError
from latent_core.rl.advantages import bi_level_gae, dr_grpo, gae, gigpo, grpo, returns_to_go, rloo, turn_level
from latent_core.rl.groups import Floats

ESTIMATORS: list[Callable[[list[float]], Floats]] = [grpo, dr_grpo, rloo]
GROUP = st.lists(st.integers(-40, 40).map(lambda n: n / 4), min_size=2, max_size=9)
FACTORS = {"gamma_turn": 0.9, "lambda_turn": 0.8, "gamma_token": 0.5, "lambda_token": 0.7}
ONES = dict.fromkeys(FACTORS, 1.0)


def test_estimators_of_a_known_group_have_their_papers_values() -> None:
    group = [0.0, 1.0, 1.0, 0.0]
    assert dr_grpo(group).tolist() == [-0.5, 0.5, 0.5, -0.5]
    assert rloo(group) == pytest.approx([-2 / 3, 2 / 3, 2 / 3, -2 / 3])  # less the mean of the other three
    assert grpo(group) == pytest.approx(dr_grpo(group) / np.std(group, ddof=1), abs=1e-12)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@given(value=st.floats(-1e300, 1e300), size=st.integers(1, 40))
def test_equal_returns_have_an_advantage_of_exactly_zero(
    estimator: Callable[[list[float]], Floats], value: float, size: int
) -> None:
    assert estimator([value] * size).tolist() == [0.0] * size


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_sums_of_the_same_rewards_in_another_order_are_equal_returns(
    estimator: Callable[[list[float]], Floats],
) -> None:
    assert (0.1 + 0.2) + 0.3 != 0.1 + (0.2 + 0.3)
    assert not estimator([(0.1 + 0.2) + 0.3, 0.1 + (0.2 + 0.3)]).any()


def test_sums_that_cancel_to_nothing_but_rounding_are_equal_returns() -> None:
    steps = [-0.1] * 9
    returns = np.array([sum([*steps, 0.9]), sum([0.9, *steps]), sum([*steps[:4], 0.9, *steps[4:]])])
    assert len(set(returns)) == 3 and np.abs(returns).max() < 1e-15
    for estimate in (grpo, dr_grpo, rloo):
        assert (estimate(returns) == 0).all()
    late, early = turn_level([[*steps, 0.9], [0.9, *steps]], gamma=1)
    assert late[0] == early[0] == 0


@pytest.mark.parametrize("estimator", ESTIMATORS)
@given(group=GROUP, shift=st.integers(-8, 8), scale=st.integers(1, 8), seed=st.integers(0, 99))
def test_advantages_ignore_a_shift_follow_the_scale_and_the_order_and_sum_to_zero(
    estimator: Callable[[list[float]], Floats], group: list[float], shift: int, scale: int, seed: int
) -> None:
    found, returns = estimator(group), np.array(group)
    assert found.sum() == pytest.approx(0, abs=1e-9)
    assert estimator(list(returns + shift)) == pytest.approx(found, abs=1e-9)
    assert estimator(list(returns * scale)) == pytest.approx(found if estimator is grpo else found * scale, abs=1e-9)
    order = np.random.default_rng(seed).permutation(len(group))
    assert estimator(list(returns[order])) == pytest.approx(found[order], abs=1e-12)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("returns", [[], [1.0, float("nan")], [float("inf"), 0.0], [[1.0, 2.0]]])
def test_returns_that_are_no_group_of_numbers_are_refused(
    estimator: Callable[[list[float]], Floats], returns: list[float]
) -> None:
    with pytest.raises(InputError, match="returns"):
        estimator(returns)


@given(group=GROUP)
def test_turn_level_of_one_turn_each_is_grpo_of_the_rewards(group: list[float]) -> None:
    assert np.concatenate(turn_level([[reward] for reward in group])) == pytest.approx(grpo(group), abs=1e-12)


def test_turn_level_compares_returns_to_go_at_the_same_turn_and_an_ended_episode_has_none_left() -> None:
    assert returns_to_go([1.0, 2.0, 4.0], 0.5).tolist() == [3.0, 4.0, 4.0]
    first, second = turn_level([[1.0, 2.0], [0.0]], gamma=0.5, scaled=False)
    assert first.tolist() == [1.0, 1.0]  # 2 against 0, then 2 against the 0 of an episode that is over
    assert second.tolist() == [-1.0]


def test_turn_level_gives_no_turn_an_advantage_for_its_number() -> None:
    rewards = [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0]]
    better, worse = turn_level(rewards, scaled=False)
    assert better.tolist() == [0.5] * 4 and worse.tolist() == [-0.5] * 4


def test_gigpo_adds_a_comparison_of_what_followed_the_same_state() -> None:
    rewards, states = [[0.0, 1.0], [0.0, 0.0], [0.0]], [["a", "b"], ["a", "b"], ["a"]]
    found = gigpo(rewards, states, gamma=0.5, weight=2.0)
    # Returns 1, 0, 0; to go: 0.5, 0, 0 in state a and 1, 0 in state b.
    assert found[0] == pytest.approx([2 / 3 + 2 * (0.5 - 1 / 6), 2 / 3 + 2 * 0.5])
    assert found[1] == pytest.approx([-1 / 3 - 2 / 6, -1 / 3 - 2 * 0.5])
    assert found[2] == pytest.approx([-1 / 3 - 2 / 6])


def test_gigpo_of_states_met_once_is_the_episodes_advantage_alone() -> None:
    found = gigpo([[0.0, 1.0], [0.0]], [[(0, 0), (0, 1)], [(1, 0)]], weight=5.0)
    assert [turns.tolist() for turns in found] == [[0.5, 0.5], [-0.5]]


def test_gigpo_compares_a_state_that_an_episode_returns_to_with_itself() -> None:
    found = gigpo([[0.0, 1.0]], [["a", "a"]], gamma=0.5)
    assert found[0].tolist() == [-0.25, 0.25]


def test_gigpo_of_turns_whose_state_nobody_told_is_refused() -> None:
    with pytest.raises(InputError, match=r"agent\.estimator: gigpo compares turns .* take turn_level"):
        gigpo([[0.0, 1.0], [0.0]], [["a", None], ["a"]])


def test_gigpo_without_a_state_for_every_turn_is_refused() -> None:
    with pytest.raises(InputError, match="states"):
        gigpo([[0.0, 1.0]], [["a"]])


def test_gae_is_the_discounted_sum_of_temporal_differences() -> None:
    rewards, values = [0.0, 0.0, 1.0], [0.2, 0.5, 0.6]
    last = 1.0 - 0.6
    middle = 0.9 * 0.6 - 0.5 + 0.9 * 0.8 * last
    first = 0.9 * 0.5 - 0.2 + 0.9 * 0.8 * middle
    assert gae(rewards, values, gamma=0.9, lambda_=0.8) == pytest.approx([first, middle, last])


def test_bi_level_gae_has_one_delta_across_a_turns_end_from_last_token_to_last_token() -> None:
    rewards, values = np.array([0.0, 0.0, 1.0, 0.0, 2.0]), np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    second = 2.0 - 0.5
    first = 1.0 + 0.9 * 0.5 - 0.3 + 0.9 * 0.8 * second
    expected = [0.0, 0.5 * 0.3 - 0.2 + 0.35 * first, first, 0.5 * 0.5 - 0.4 + 0.35 * second, second]
    expected[0] = 0.5 * 0.2 - 0.1 + 0.35 * expected[1]
    assert bi_level_gae(rewards, values, [2, 4], **FACTORS) == pytest.approx(expected)


@pytest.mark.parametrize("rewards", [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0] * 4])
def test_bi_level_gae_discounts_a_turn_worth_nothing_as_any_other(rewards: list[float]) -> None:
    found = bi_level_gae(rewards, [0.0] * 4, [1, 3], **FACTORS)
    last = rewards[3]
    first = rewards[1] + 0.72 * last
    assert found == pytest.approx([0.35 * first, first, 0.35 * last, last])


def test_bi_level_gae_discounts_a_turn_once_however_long_it_is() -> None:
    short = bi_level_gae([0.0, 0.0, 1.0], [0.0] * 3, [0, 2], **FACTORS)
    long = bi_level_gae([0.0] * 9 + [1.0], [0.0] * 10, [0, 9], **FACTORS)
    assert short[0] == long[0] == pytest.approx(0.72)


EPISODE = st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9), st.booleans()), min_size=1, max_size=12)


@given(steps=EPISODE)
def test_bi_level_gae_without_discount_is_what_is_still_to_come_less_the_value(
    steps: list[tuple[float, float, bool]],
) -> None:
    ends = [place for place, step in enumerate(steps) if step[2] or place == len(steps) - 1]
    rewards = np.array([step[0] if place in ends else 0.0 for place, step in enumerate(steps)])
    values = np.array([step[1] for step in steps])
    found = bi_level_gae(rewards, values, ends, **ONES)
    assert found == pytest.approx(np.cumsum(rewards[::-1])[::-1] - values, abs=1e-9)
    assert found == pytest.approx(gae(rewards, values, gamma=1.0, lambda_=1.0), abs=1e-9)


@given(steps=EPISODE)
def test_bi_level_gae_of_one_turn_is_gae_over_its_tokens(steps: list[tuple[float, float, bool]]) -> None:
    rewards, values = [step[0] for step in steps], [step[1] for step in steps]
    found = bi_level_gae(rewards, values, [len(steps) - 1], **FACTORS)
    assert found == pytest.approx(gae(rewards, values, gamma=0.5, lambda_=0.7), abs=1e-9)


@given(steps=EPISODE, seed=st.integers(0, 99))
def test_observations_between_tokens_change_no_advantage(steps: list[tuple[float, float, bool]], seed: int) -> None:
    ends = [place for place, step in enumerate(steps) if step[2] or place == len(steps) - 1]
    draw = np.random.default_rng(seed)
    acted = draw.random(3 * len(steps)) < 0.5
    acted[: len(steps)] |= acted.sum() < len(steps)
    places = np.flatnonzero(acted)[: len(steps)]
    acted = np.isin(np.arange(len(acted)), places)
    rewards, values = np.zeros(len(acted)), draw.normal(size=len(acted))
    rewards[places], values[places] = [step[0] for step in steps], [step[1] for step in steps]
    found = bi_level_gae(rewards, values, places[ends].tolist(), **FACTORS, acted=acted.tolist())
    alone = bi_level_gae(rewards[places], values[places], ends, **FACTORS)
    assert found[places] == pytest.approx(alone) and not found[~acted].any()


@pytest.mark.parametrize("ends", [[], [1], [2, 1], [0, 3], [-1, 2]])
def test_turn_ends_that_do_not_fit_the_tokens_are_refused(ends: list[int]) -> None:
    with pytest.raises(InputError, match="turn_ends"):
        bi_level_gae([0.0] * 3, [0.0] * 3, ends, **FACTORS)


@pytest.mark.parametrize("ends", [None, "2", ["2"], [True, 2], [0.5, 2], [[2]], 2, [2**70], {2}, b"\x02", [None, 2]])
def test_turn_ends_that_are_no_places_are_refused_by_their_name(ends: Any) -> None:
    with pytest.raises(InputError, match=r"^turn_ends: ") as refused:
        bi_level_gae([0.0] * 3, [0.0] * 3, ends, **FACTORS)
    assert "\n" not in str(refused.value)


def test_turn_ends_may_be_an_array_of_whole_numbers() -> None:
    rewards, values = [0.0, 1.0, 2.0], [0.5, 0.25, 0.0]
    expected = bi_level_gae(rewards, values, [1, 2], **FACTORS)
    for ends in ((1, 2), np.array([1, 2]), np.array([1, 2], dtype=np.int32)):
        assert bi_level_gae(rewards, values, ends, **FACTORS).tolist() == expected.tolist()  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [2.0, -0.1, float("nan")])
@pytest.mark.parametrize("name", FACTORS)
def test_factor_that_is_no_share_is_refused_by_its_name(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"^{name}: must be between 0 and 1"):
        bi_level_gae([0.0] * 3, [0.0] * 3, [0, 2], **FACTORS | {name: value})


def test_rewards_where_nothing_acted_and_values_of_another_length_are_refused() -> None:
    with pytest.raises(InputError, match="rewards"):
        gae([1.0, 0.0], [0.0, 0.0], gamma=1.0, lambda_=1.0, acted=[False, True])
    with pytest.raises(InputError, match="values"):
        gae([1.0, 0.0], [0.0], gamma=1.0, lambda_=1.0)
    with pytest.raises(InputError, match="gamma"):
        gae([1.0], [0.0], gamma=1.5, lambda_=1.0)
    with pytest.raises(InputError, match=r"^lambda_: must be"):
        gae([1.0], [0.0], gamma=1.0, lambda_=-0.5)
