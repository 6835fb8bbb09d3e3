"""Differences of shares that two models answered correctly, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from latent_core.evaluation.question_draws import paired_shares


def _answers(lost: int, won: int, of: int) -> tuple[np.ndarray, np.ndarray]:
    before = np.array([1.0] * lost + [0.0] * won + [1.0] * (of - lost - won))
    after = np.array([0.0] * lost + [1.0] * won + [1.0] * (of - lost - won))
    return before, after


def test_interval_is_students_with_one_more_answer_that_differs() -> None:
    """12 lost and 1 won of 100: the differences' variance is (13 - 100 x 0.11²) / 99 = 0.1191, so the mean's error is
    0.0345; with 1 / 102 beside it 0.0359. Student's 97.5 % point with 99 degrees of freedom is 1.984."""
    found = paired_shares(*_answers(12, 1, 100))
    assert found.difference == pytest.approx((-0.11, -0.1812, -0.0388), abs=1e-4)
    assert found.p == pytest.approx(0.0028, abs=1e-4)


def test_interval_ends_at_the_largest_loss_there_can_be() -> None:
    """All of 8 lost: no variance but 1 / 10 of the one answer, and 2.365 with 7 degrees of freedom."""
    assert paired_shares(*_answers(8, 0, 8)).difference == pytest.approx((-1, -1, -1 + 0.2365), abs=1e-4)


def test_answer_of_several_to_a_question_is_that_part_of_it() -> None:
    """One more right of five samples of each of five questions: an error of 1 / (5 x 7), and 2.776 with 4 degrees."""
    five = paired_shares(np.full(5, 0.4), np.full(5, 0.6), samples=5)
    assert five.difference == pytest.approx((0.2, 0.2 - 2.776 / 35, 0.2 + 2.776 / 35), abs=1e-4)
    one = paired_shares(np.full(5, 0.4), np.full(5, 0.6))
    assert five.p < 0.01 < one.p


@pytest.mark.parametrize("lost", range(1, 12))
def test_p_value_is_below_five_percent_just_where_the_interval_excludes_no_difference(lost: int) -> None:
    found = paired_shares(*_answers(lost, 1, 60))
    assert (found.p < 0.05) == (found.difference.high < 0)


def test_single_question_tells_nothing() -> None:
    assert paired_shares(np.ones(1), np.zeros(1)) == ((-1.0, -1.0, 1.0), 1.0)
