"""Golden ids of the supervised remap."""

from __future__ import annotations

import pytest

from latent_core.dual import DualVocabulary, RemapCounts, RemapOutcome, remap_row

# Visible 0..9: 0 eos, 8 <think>, 9 </think>; latents 10, 11, 12 mirror 2, 4, 3.
VOCABULARY = DualVocabulary(10, (2, 4, 3), think_start_id=8, think_end_id=9, eos_ids=(0,), mode="subset")
X = -100


def remap(ids: list[int], labels: list[int], outside: str = "visible") -> tuple[object, RemapCounts]:
    counts = RemapCounts()
    return remap_row(ids, labels, VOCABULARY, counts, outside=outside), counts


def test_remap_reasoning_becomes_latent_in_input_and_label() -> None:
    row, counts = remap([2, 8, 2, 3, 4, 9, 3, 0], [X, 8, 2, 3, 4, 9, 3, 0])
    assert row == ([2, 8, 10, 12, 11, 9, 3, 0], [X, 8, 10, 12, 11, 9, 3, 0])
    assert counts.latent_tokens == 3 and counts.rows[RemapOutcome.REMAPPED] == 1


def test_remap_think_opened_by_the_prompt_leaves_the_prompt_visible() -> None:
    row, _ = remap([3, 8, 2, 4, 9, 3, 0], [X, X, X, 4, 9, 3, 0])
    assert row == ([3, 8, 2, 11, 9, 3, 0], [X, X, X, 11, 9, 3, 0])


def test_remap_think_tokens_spelled_by_the_user_change_nothing() -> None:
    row, _ = remap([8, 2, 9, 8, 3, 8, 4, 9, 2], [X, X, X, X, X, 8, 4, 9, 2])
    assert row == ([8, 2, 9, 8, 3, 8, 11, 9, 2], [X, X, X, X, X, 8, 11, 9, 2])


def test_remap_several_supervised_turns_are_each_remapped() -> None:
    ids = [8, 2, 9, 3, 8, 4, 9, 0]
    assert remap(ids, ids)[0] == ([8, 10, 9, 3, 8, 11, 9, 0],) * 2


@pytest.mark.parametrize("ids", [[2, 8, 3, 4], [2, 3, 4], [8, 2, 9, 3, 8, 4]])
def test_remap_row_cut_before_think_end_is_dropped_and_counted(ids: list[int]) -> None:
    row, counts = remap(ids, ids)
    assert row is None and counts.rows[RemapOutcome.NO_THINK_END] == 1


def test_remap_unopened_think_end_is_dropped_and_counted() -> None:
    row, counts = remap([2, 3, 9, 4], [X, 3, 9, 4])
    assert row is None and counts.rows[RemapOutcome.NO_THINK_START] == 1


def test_remap_token_outside_the_subset_stays_or_drops_the_row() -> None:
    ids = [8, 2, 5, 9, 0]
    row, counts = remap(ids, ids, "visible")
    assert row == ([8, 10, 5, 9, 0],) * 2 and counts.outside_tokens == 1 and counts.latent_tokens == 1
    row, counts = remap(ids, ids, "drop_row")
    assert row is None and counts.outside_tokens == 1 and counts.rows[RemapOutcome.OUTSIDE_SUBSET] == 1


@pytest.mark.parametrize(
    ("ids", "labels"), [([8, 2, 9], [8, 2]), ([8, 2, 9], [2, 9, 0]), ([8, 10, 9], [8, 10, 9]), ([99], [99])]
)
def test_remap_bad_rows_raise(ids: list[int], labels: list[int]) -> None:
    with pytest.raises(ValueError):
        remap(ids, labels)
