"""Length rewards on constructed groups, their controls, and the weight that dual ascent gives them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latent_core.errors import InputError
from latent_core.rl import lengths
from latent_core.rl.groups import Floats

CORRECT, TOKENS = [True, True, False, True], [100, 50, 100, 500]
GROUP = st.lists(st.tuples(st.booleans(), st.integers(0, 400)), min_size=1, max_size=8)


def _all(correct: list[bool], tokens: list[int], alpha: float = 0.3) -> dict[str, Floats]:
    return {
        "exact": lengths.lcpo_exact(correct, tokens, 100, alpha=alpha),
        "max": lengths.lcpo_max(correct, tokens, 0.5, 200, alpha=alpha),
        "gated": lengths.gated(correct, tokens, 100, alpha=alpha),
        "hmpo": lengths.hmpo(correct, tokens),
    }


def test_length_rewards_of_a_known_group() -> None:
    found = _all(CORRECT, TOKENS)
    assert found["exact"] == pytest.approx([1.0, 1 - 0.3 * 0.5, 0.0, 1 - 0.3])
    assert found["max"] == pytest.approx([0.5, 0.5 + 0.3 * 0.25, 0.0, 0.0])
    assert found["gated"] == pytest.approx([1.0, 0.85, 0.0, 0.7])
    assert found["hmpo"] == pytest.approx([1.0, 1.0, 0.0, 0.0])  # the median correct length is 100


def test_wrong_rollout_pays_for_its_length_under_exact_and_not_if_gated() -> None:
    correct, tokens = [True, False], [100, 50]
    assert lengths.lcpo_exact(correct, tokens, 100, alpha=0.4)[1] == pytest.approx(-0.2)
    assert lengths.gated(correct, tokens, 100, alpha=0.4)[1] == 0.0


def test_lcpo_max_stays_between_zero_and_one() -> None:
    found = lengths.lcpo_max([True, True], [0, 10_000], 1.0, 100, alpha=3.0)
    assert found.tolist() == [1.0, 0.0]


def test_hmpo_decays_by_a_cosine_from_the_median_correct_length_to_nothing() -> None:
    found = lengths.hmpo([True] * 5, [80, 100, 100, 150, 200])
    assert found == pytest.approx([1.0, 1.0, 1.0, 0.5, 0.0])
    assert lengths.hmpo([True, False], [300, 10]).tolist() == [1.0, 0.0]  # the only correct one keeps all


@given(group=GROUP)
def test_group_without_a_correct_rollout_has_no_length_term(group: list[tuple[bool, int]]) -> None:
    tokens = [length for _, length in group]
    for reward in _all([False] * len(group), tokens).values():
        assert reward.tolist() == [0.0] * len(group)


@given(group=GROUP, seed=st.integers(0, 99))
def test_rewards_follow_the_order_of_rollouts_and_favour_the_correct_one_of_two_as_long(
    group: list[tuple[bool, int]], seed: int
) -> None:
    correct, tokens = [right for right, _ in group], [length for _, length in group]
    order = np.random.default_rng(seed).permutation(len(group))
    moved = _all([correct[place] for place in order], [tokens[place] for place in order])
    for name, found in _all(correct, tokens).items():
        assert moved[name] == pytest.approx(found[order])
        assert (found <= np.array(correct)).all()
    for name, pair in _all([True, False], [tokens[0]] * 2).items():
        assert pair[0] > pair[1] or (name == "max" and pair[0] == pair[1] == 0.0)


def test_lengths_in_other_units_have_the_same_reward() -> None:
    tokens = np.array([90, 120, 10])
    one, other = (lengths.lcpo_exact([1, 1, 0], tokens * unit, 100 * unit, alpha=0.5) for unit in (1, 7))
    assert one == pytest.approx(other)


def test_reference_is_the_mean_of_correct_lengths_and_missing_without_any() -> None:
    found = lengths.reference_lengths(["a", "a", "a", "b"], [True, True, False, False], [100, 200, 9_000, 50])
    assert found == {"a": 150.0}


def test_dual_ascent_raises_the_weight_while_lengths_miss_and_never_below_zero() -> None:
    assert lengths.next_alpha(0.2, 0.3, 0.05, 0.4) == pytest.approx(0.3)
    assert lengths.next_alpha(0.2, 0.05, 0.05, 0.4) == 0.2
    assert lengths.next_alpha(0.01, 0.0, 0.05, 1.0) == 0.0


def test_weight_after_some_steps_is_the_same_when_they_are_taken_in_two_parts() -> None:
    deviations = [0.4, 0.3, 0.01, 0.0, 0.2]
    whole = lengths.alpha_after(deviations, 0.1, 0.05, 0.5)
    half = lengths.alpha_after(deviations[:2], 0.1, 0.05, 0.5)
    assert lengths.alpha_after(deviations[2:], half, 0.05, 0.5) == whole > 0


def test_mean_deviation_is_in_shares_of_the_reference() -> None:
    assert lengths.mean_deviation([50, 150], [100, 200], [0.5, 0.5]) == pytest.approx(0.125)


def test_spreads_of_the_terms_show_a_length_term_that_drowns() -> None:
    correct = [[True, False], [True, True]]
    rewards = [lengths.gated(group, [100, 150], 100, alpha=0.2) for group in correct]
    assert lengths.term_spreads(correct, rewards) == pytest.approx((0.25, 0.025))


@given(rewards=st.lists(st.floats(-9, 9), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_placebo_keeps_a_groups_rewards_and_is_drawn_from_its_seed(rewards: list[float], seed: int) -> None:
    found = lengths.permuted(rewards, seed, "3/q7")
    assert sorted(found) == sorted(rewards)
    assert found.tolist() == lengths.permuted(rewards, seed, "3/q7").tolist()


def test_placebo_is_another_order_for_another_group_and_another_seed() -> None:
    rewards = list(range(8))
    orders = {tuple(lengths.permuted(rewards, seed, group)) for seed in (0, 1) for group in ("a", "b", "c")}
    assert len(orders) == 6
    first = np.mean([lengths.permuted(rewards, seed, "a") for seed in range(400)], axis=0)
    assert first == pytest.approx([3.5] * 8, abs=0.6)  # no place is favoured


@pytest.mark.parametrize(
    ("correct", "tokens", "target", "alpha", "field"),
    [
        ([True], [1], 0, 0.1, "target"),
        ([True], [1], float("nan"), 0.1, "target"),
        ([True], [1], 5, -0.1, "alpha"),
        ([True], [1, 2], 5, 0.1, "lengths"),
        ([True], [-1], 5, 0.1, "lengths"),
        ([0.5], [1], 5, 0.1, "correct"),
    ],
)
def test_targets_weights_and_lengths_that_are_none_are_refused(
    correct: list[bool], tokens: list[int], target: float, alpha: float, field: str
) -> None:
    for reward in (lengths.lcpo_exact, lengths.gated):
        with pytest.raises(InputError, match=field):
            reward(correct, tokens, target, alpha=alpha)


@pytest.mark.parametrize("ratio", [float("nan"), float("inf"), -1.0, True, "0.5", None])
def test_ratio_that_is_none_is_refused_by_lcpo_max(ratio: float) -> None:
    with pytest.raises(InputError, match=r"^ratio: must be a number of at least 0, not"):
        lengths.lcpo_max([True], [1], ratio, 10, alpha=0.1)


@pytest.mark.parametrize("reference", [0, -1.0, float("nan")])
def test_reference_that_is_none_is_refused_by_its_name(reference: float) -> None:
    with pytest.raises(InputError, match=r"^reference: must be a length above 0 tokens"):
        lengths.lcpo_max([True], [1], 0.5, reference, alpha=0.1)


def test_window_references_and_rates_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="window"):
        lengths.hmpo([True], [1], window=0)
    with pytest.raises(InputError, match="references"):
        lengths.mean_deviation([1], [0], [1.0])
    with pytest.raises(InputError, match="alpha"):
        lengths.next_alpha(0.1, float("nan"), 0.05, 0.1)
