"""Permutations without fixed points."""

from __future__ import annotations

import pytest

from latent_core.errors import InputError
from latent_core.permutations import derangement


def test_derangement_of_any_size_and_seed_is_a_permutation_that_leaves_nothing_in_its_place() -> None:
    for size in range(2, 60):
        for seed in range(20):
            found = derangement(size, seed).tolist()
            assert sorted(found) == list(range(size))
            assert all(place != target for place, target in enumerate(found)), (size, seed)


def test_derangement_of_one_seed_is_one_and_of_another_seed_another() -> None:
    assert derangement(50, 3).tolist() == derangement(50, 3).tolist() != derangement(50, 4).tolist()


@pytest.mark.parametrize("size", [0, 1])
def test_derangement_of_fewer_than_two_places_raises(size: int) -> None:
    with pytest.raises(InputError, match="at least two"):
        derangement(size, 0)
