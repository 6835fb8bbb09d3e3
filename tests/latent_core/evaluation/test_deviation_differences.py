"""Which of two arms keeps lengths better, on arms of known numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from latent_core.errors import InputError
from latent_core.evaluation.arm_comparisons import Pair
from latent_core.evaluation.arms import Arm
from latent_core.evaluation.crossed_bootstrap import draw
from latent_core.evaluation.deviation_differences import DeviationDifference, compare_deviations

SEEDS, QUESTIONS, RATIOS = (1, 2, 3), 40, (1.0, 0.5)
DRAWS = draw(len(SEEDS), QUESTIONS, resamples=2000, seed=0)
LENGTHS = np.linspace(50, 150, QUESTIONS)


def _arm(name: str, off: float | np.ndarray = 0.0) -> Arm:
    """Lengths at 0.5 miss by the share `off`, one or (seeds, questions)."""
    missing = np.broadcast_to(off, (len(SEEDS), QUESTIONS))
    reasoning = np.stack([np.broadcast_to(LENGTHS, missing.shape), 0.5 * LENGTHS * (1 + missing)], axis=1)
    ids = tuple(f"q{place}" for place in range(QUESTIONS))
    return Arm(name, SEEDS, RATIOS, ids, np.ones(reasoning.shape), reasoning, reasoning + 9)


START = _arm("start")


def _compared(*arms: Arm) -> list[DeviationDifference]:
    """Every arm against the last."""
    pairs = [Pair(arm.name, arms[-1].name) for arm in arms[:-1]]
    return compare_deviations(pairs, {arm.name: arm for arm in arms}, {arm.name: START for arm in arms}, DRAWS)


def test_difference_is_that_of_the_deviations_whichever_way_lengths_miss() -> None:
    """Both miss at one of one ratio below 1: one is too short by a tenth, the other too long by 0.3."""
    (found,) = _compared(_arm("short", -0.1), _arm("long", 0.3))
    assert found.pair == Pair("short", "long")
    assert found.difference.value == pytest.approx(-0.2)
    assert found.each_seed == pytest.approx((-0.2,) * 3)


def test_interval_is_over_seeds_where_seeds_differ() -> None:
    """By Student over three means -0.1, -0.2, -0.3: an error of 0.0577, 2 degrees of freedom, a reach of 0.248."""
    missing = np.array([[0.3], [0.2], [0.1]])
    (found,) = _compared(_arm("arm", missing), _arm("control", 0.4))
    assert found.difference.value == pytest.approx(-0.2)
    assert found.difference.high - found.difference.value == pytest.approx(0.248, rel=0.1)
    assert found.p == pytest.approx(0.074, abs=0.01)


def test_questions_are_paired_so_that_what_both_miss_does_not_widen_the_interval() -> None:
    uneven = np.linspace(0, 0.8, QUESTIONS)
    (found,) = _compared(_arm("arm", uneven), _arm("control", uneven + 0.1))
    assert found.difference.value == pytest.approx(-0.1)
    assert found.difference.high - found.difference.low == pytest.approx(0, abs=1e-6)


def test_holms_correction_is_over_all_pairs() -> None:
    seeds = np.array([[0.1], [0.2], [0.3]])
    alone, beside = (_compared(*arms, START)[0] for arms in ([_arm("a", seeds)], [_arm("a", seeds), _arm("b", seeds)]))
    assert alone.adjusted_p == alone.p == beside.p
    assert beside.adjusted_p == pytest.approx(2 * beside.p)
    assert beside.adjusted.high > alone.adjusted.high == alone.difference.high


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"seeds": (1, 2, 4)}, "seeds"),
        ({"question_ids": tuple(f"p{place}" for place in range(QUESTIONS))}, "questions"),
        ({"ratios": (1.0, 0.4)}, "ratios"),
    ],
)
def test_pair_that_differs_in_what_was_evaluated_is_refused(change: dict[str, object], what: str) -> None:
    with pytest.raises(InputError, match=f"arm and control differ in {what}"):
        _compared(replace(_arm("arm"), **change), _arm("control"))  # type: ignore[arg-type]


def test_pair_of_two_start_models_is_refused() -> None:
    arms = {name: _arm(name) for name in ("arm", "control")}
    starts = {"arm": START, "control": replace(START, name="another")}
    with pytest.raises(InputError, match="arm and control differ in the model they started from"):
        compare_deviations([Pair("arm", "control")], arms, starts, DRAWS)
