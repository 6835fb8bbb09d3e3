"""Which groups the signal-to-noise filter keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latent_core.errors import InputError
from latent_core.rl.filters import kept_groups

SPREAD = [[0.0, 0.0], [0.0, 1.0], [0.0, 0.5], [0.0, 0.1]]  # deviations 0, 0.71, 0.35, 0.07: 63, 31 and 6 % of the sum
GROUPS = st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("share", "kept"),
    [(0.5, [1]), (0.62, [1]), (0.63, [1, 2]), (0.9, [1, 2]), (0.95, [1, 2, 3]), (1.0, [1, 2, 3])],
)
def test_groups_of_the_most_diverse_returns_are_kept_until_they_hold_the_share(share: float, kept: list[int]) -> None:
    assert [index for index, taken in enumerate(kept_groups(SPREAD, share)) if taken] == kept


def test_group_that_begins_just_where_the_share_ends_is_left_out() -> None:
    assert kept_groups([[0.0, 1.0], [0.0, 1.0]], 0.5) == [True, False]


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -0.1, 0.97, 1e300])
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_group_whose_returns_are_equal_or_that_has_one_member_is_never_kept(value: float, size: int) -> None:
    assert kept_groups([[value] * size, [0.0, 1e-3]], 1.0) == [False, True]
    assert kept_groups([[value] * size] * 3, 1.0) == [False] * 3


def test_all_groups_of_equal_diversity_are_kept_at_share_one() -> None:
    assert kept_groups([[0.0, 1.0, 1.0]] * 7, 1.0) == [True] * 7


def test_tie_goes_to_the_first_group_whatever_the_order_of_its_members() -> None:
    group = [0.1, 0.7, 0.3, 0.9, 0.2]
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(group).tolist()
        assert kept_groups([group, order], 0.4) == [True, False]


def test_no_groups_keep_none() -> None:
    assert kept_groups([], 0.9) == []


@given(groups=GROUPS, share=st.floats(0.01, 1.0))
def test_kept_groups_hold_the_share_and_none_of_them_is_dispensable(groups: list[list[float]], share: float) -> None:
    scores = np.array([np.std(group, ddof=1) if np.ptp(group) > 1e-9 else 0.0 for group in groups])
    kept = np.array(kept_groups(groups, share))
    if scores.sum() > 1e-6:
        held = scores[kept].sum()
        assert held >= share * scores.sum() * (1 - 1e-9)
        assert held - scores[kept].min() < share * scores.sum() * (1 + 1e-9)
        assert (~kept).sum() == 0 or scores[~kept].max() <= scores[kept].min() + 1e-9


@given(groups=GROUPS)
def test_larger_share_keeps_at_least_as_much(groups: list[list[float]]) -> None:
    less, more = (kept_groups(groups, share) for share in (0.3, 0.8))
    assert all(after for before, after in zip(less, more, strict=True) if before)


@pytest.mark.parametrize(
    ("groups", "share", "field"),
    [
        ([[0.0, float("nan")]], 0.9, "group 0"),
        ([[0.0, 1.0], [float("inf"), 0.0]], 0.9, "group 1"),
        ([[]], 0.9, "empty"),
        ([[0.0, 1.0]], 0.0, "share"),
        ([[0.0, 1.0]], 1.1, "share"),
        ([[0.0, 1.0]], float("nan"), "share"),
    ],
)
def test_returns_that_are_no_numbers_and_shares_that_are_none_are_refused(
    groups: list[list[float]], share: float, field: str
) -> None:
    with pytest.raises(InputError, match=field):
        kept_groups(groups, share)
