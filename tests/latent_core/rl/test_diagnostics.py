"""Mutual information, entropy and retrieval where their values are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latent_core.errors import InputError
from latent_core.rl.diagnostics import chance, conditional_entropy, mutual_information, retrieval

N = 6
FIXED = np.tile(-np.arange(1.0, N + 1)[:, None], (1, N))  # row i is as likely under every prompt
DISJOINT = np.where(np.eye(N, dtype=bool), -3.0, -np.inf)
SEEDS = st.integers(0, 10_000)


def _table(seed: int, rows: int = N, prompts: int = N) -> np.ndarray:
    return np.random.default_rng(seed).normal(-30, 5, (rows, prompts))


@pytest.mark.parametrize("k", range(1, N + 2))
def test_fixed_template_tells_nothing_and_is_found_by_chance(k: int) -> None:
    assert mutual_information(FIXED) == pytest.approx(0.0, abs=1e-12)
    assert retrieval(FIXED, k) == pytest.approx(min(1.0, k / N)) == chance(k, N)


def test_disjoint_templates_tell_all_and_are_always_found() -> None:
    assert mutual_information(DISJOINT) == pytest.approx(np.log(N))
    assert retrieval(DISJOINT, 1) == 1.0
    assert conditional_entropy(DISJOINT) == pytest.approx(3.0)


def test_templates_shared_by_two_prompts_each_tell_the_pair() -> None:
    pairs = np.where(np.arange(N)[:, None] // 2 == np.arange(N) // 2, -5.0, -np.inf)
    assert mutual_information(pairs) == pytest.approx(np.log(N / 2))
    assert retrieval(pairs, 1) == 0.5 and retrieval(pairs, 2) == 1.0


def test_equal_prompts_are_one_and_need_one_place_together() -> None:
    pairs = np.where(np.arange(N)[:, None] // 2 == np.arange(N) // 2, -5.0, -np.inf)
    same = ["a", "a", "b", "b", "c", "c"]
    assert retrieval(pairs, 1, same=same) == 1.0
    assert retrieval(FIXED, 1, same=same) == pytest.approx(1 / 3) == chance(1, N, same=same)


def test_long_likelihoods_neither_overflow_nor_lose_their_ties() -> None:
    far = FIXED * 1e5
    assert mutual_information(far) == pytest.approx(0.0, abs=1e-9) and retrieval(far, 2) == pytest.approx(2 / N)
    rounded = far * (1 + 1e-15 * np.random.default_rng(0).normal(size=far.shape))
    assert retrieval(rounded, 2) == pytest.approx(2 / N)


def test_several_reasonings_of_a_prompt_are_rows_of_their_own() -> None:
    own = [0, 0, 1, 1, 1]
    table = np.array([[-1.0, -9.0], [-9.0, -1.0], [-9.0, -2.0], [-9.0, -2.0], [-9.0, -2.0]])
    assert retrieval(table, 1, own=own) == pytest.approx(0.8)
    assert conditional_entropy(table, own=own) == pytest.approx((1 + 9 + 2 + 2 + 2) / 5)


@given(seed=SEEDS, k=st.integers(1, N))
def test_order_of_prompts_and_a_factor_common_to_a_row_change_nothing(seed: int, k: int) -> None:
    table = _table(seed)
    order = np.random.default_rng(seed).permutation(N)
    moved, scaled = table[order][:, order], table + np.arange(N)[:, None]
    for other in (moved, scaled):
        assert mutual_information(other) == pytest.approx(mutual_information(table), abs=1e-9)
        assert retrieval(other, k) == pytest.approx(retrieval(table, k))
    assert conditional_entropy(moved) == pytest.approx(conditional_entropy(table))


@given(seed=SEEDS)
def test_mutual_information_is_at_most_the_logarithm_of_the_number_of_prompts(seed: int) -> None:
    assert mutual_information(_table(seed)) <= np.log(N)


@given(seed=SEEDS)
def test_retrieval_grows_with_its_places_up_to_all(seed: int) -> None:
    table = np.round(_table(seed) / 10)  # with ties
    found = [retrieval(table, k) for k in range(1, N + 1)]
    assert found == sorted(found) and found[-1] == 1.0


@pytest.mark.parametrize(
    ("table", "field"),
    [
        (np.full((2, 2), np.nan), "log_likelihood"),
        (np.full((2, 2), -np.inf), "log_likelihood"),
        (np.array([[0.0, np.inf], [0.0, 0.0]]), "log_likelihood"),
        (np.zeros(3), "log_likelihood"),
        (np.zeros((3, 2)), "own"),
    ],
)
def test_tables_that_are_none_are_refused(table: np.ndarray, field: str) -> None:
    for measure in (mutual_information, conditional_entropy, lambda found: retrieval(found, 1)):
        with pytest.raises(InputError, match=field):
            measure(table)


def test_columns_labels_and_places_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="own"):
        mutual_information(np.zeros((2, 2)), own=[0, 2])
    with pytest.raises(InputError, match="same"):
        retrieval(np.zeros((2, 2)), 1, same=["a"])


@pytest.mark.parametrize("k", [0, -1, 1.5, float("nan"), True, "1", None])
def test_places_that_are_no_whole_number_above_zero_are_refused(k: int) -> None:
    with pytest.raises(InputError, match=r"^k: must be a whole number of at least 1, not"):
        retrieval(np.zeros((2, 2)), k)
    with pytest.raises(InputError, match=r"^k: must be a whole number of at least 1, not"):
        chance(k, 2)


@pytest.mark.parametrize("prompts", [0, -1, 1.5, True])
def test_chance_among_no_prompts_is_refused(prompts: int) -> None:
    with pytest.raises(InputError, match=r"^prompts: must be a whole number of at least 1, not"):
        chance(1, prompts)


PROMPTS, TOKENS, IDS = 8, 5, 16


def _shared(sentences: list[int]) -> np.ndarray:
    """Prompt j always says sentence `sentences[j]`."""
    return np.where(np.equal.outer(sentences, sentences), 0.0, -np.inf)


def _replaced(share: float, samples: int) -> tuple[np.ndarray, list[int]]:
    """Prompt j says the token j five times; each is replaced by one of the 15 others in `share` of the cases."""
    draw = np.random.default_rng(0)
    own = np.repeat(np.arange(PROMPTS), samples)
    moves = np.where(draw.random((len(own), TOKENS)) < share, draw.integers(1, IDS, (len(own), TOKENS)), 0)
    said = (own[:, None] + moves) % IDS
    right = (said[:, None, :] == np.arange(PROMPTS)[None, :, None]).sum(axis=2)
    return right * np.log(1 - share) + (TOKENS - right) * np.log(share / (IDS - 1)), own.tolist()


@pytest.mark.parametrize(
    ("table", "own", "information", "entropy", "found"),
    [
        (_shared([0, 1, 2, 3, 4, 5, 6, 7]), None, 2.08, 0, 1.0),
        (_shared([0, 0, 1, 1, 2, 2, 3, 3]), None, 1.39, 0, 0.5),
        (_shared([0, 0, 0, 0, 1, 2, 3, 4]), None, 1.39, 0, 0.625),
        (*_replaced(0.1, 20_000), 2.08, 2.98, 0.999),
        (_shared([0] * 8), None, 0, 0, 0.125),
        (np.full((8, 8), -TOKENS * np.log(IDS)), None, 0, 13.86, 0.125),
    ],
    ids=["own", "pairs", "half", "replaced", "one", "anything"],
)
def test_constructed_policies_have_the_values_of_the_documentation(
    table: np.ndarray, own: list[int] | None, information: float, entropy: float, found: float
) -> None:
    assert mutual_information(table, own=own) == pytest.approx(information, abs=0.01)
    assert conditional_entropy(table, own=own) == pytest.approx(entropy, abs=0.02)
    assert retrieval(table, 1, own=own) == pytest.approx(found, abs=0.001)
