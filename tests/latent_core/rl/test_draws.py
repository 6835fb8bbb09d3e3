"""Questions and ratios follow from the seed and the step, and from nothing else."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latent_core.errors import InputError
from latent_core.rl.draws import questions_of, ratio_of

RATIOS = (1.0, 0.7, 0.5)


@given(questions=st.integers(1, 12), per_step=st.integers(1, 12), seed=st.integers(0, 9), epoch=st.integers(0, 9))
def test_epoch_takes_no_question_twice_and_all_where_they_fill_its_batches(
    questions: int, per_step: int, seed: int, epoch: int
) -> None:
    per_step = min(per_step, questions)
    steps = questions // per_step
    draws = [questions_of(seed, epoch * steps + step, questions=questions, per_step=per_step) for step in range(steps)]
    taken = [number for draw in draws for number in draw]
    assert len(set(taken)) == len(taken) == steps * per_step and set(taken) <= set(range(questions))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(questions_of(seed, draw, questions=50, per_step=50)) for seed in range(3) for draw in range(3)}
    assert len(orders) == 9


def test_more_questions_a_step_than_there_are_is_refused() -> None:
    with pytest.raises(InputError, match="questions_per_step"):
        questions_of(0, 0, questions=3, per_step=4)


def test_every_difficulty_is_asked_for_every_ratio_about_as_often() -> None:
    seen = Counter(
        (number % 3, ratio_of(42, step, f"train_{number}", RATIOS)) for step in range(30) for number in range(30)
    )
    assert len(seen) == 9 and all(70 <= count <= 130 for count in seen.values())  # 100 each on average


def test_question_that_comes_again_draws_its_ratio_anew() -> None:
    assert {ratio_of(42, step, "train_0", RATIOS) for step in range(20)} == set(RATIOS)
