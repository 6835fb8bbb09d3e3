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


def test_deviation_is_the_mean_over_the_ratios_below_1() -> None:
    arm, control = (replace(_arm(name), ratios=(1.0, 0.8, 0.6, 0.5)) for name in ("arm", "control"))
    for one, off in ((arm, (0.0, 0.1, 0.1, 0.7)), (control, (0.0, 0.0, 0.0, 0.0))):
        lengths = [ratio * LENGTHS * (1 + share) for ratio, share in zip(one.ratios, off, strict=True)]
        reasoning = np.broadcast_to(np.stack(lengths), (len(SEEDS), len(off), QUESTIONS))
        object.__setattr__(one, "reasoning", reasoning)
        object.__setattr__(one, "correct", np.ones(reasoning.shape))
    (found,) = _compared(arm, control)
    assert found.difference.value == pytest.approx(0.3)


def test_differences_of_seeds_are_told_and_their_students_interval() -> None:
    """Three means -0.1, -0.2, -0.3: an error of 0.0577, 2 degrees of freedom, a reach of 0.248, p = 0.0742."""
    missing = np.array([[0.3], [0.2], [0.1]])
    (found,) = _compared(_arm("arm", missing), _arm("control", 0.4))
    assert found.each_seed == pytest.approx((-0.1, -0.2, -0.3))
    assert found.difference.high - found.difference.value == pytest.approx(0.248, rel=0.05)
    assert found.p == pytest.approx(0.074, abs=0.005)


def test_interval_is_over_questions_where_seeds_agree() -> None:
    """An even spread over 0 to 0.8 has a deviation of 0.24, its mean over 40 questions an error of 0.038."""
    (found,) = _compared(_arm("arm", np.linspace(0, 0.8, QUESTIONS)), _arm("control"))
    assert found.difference.value == pytest.approx(0.4)
    assert found.difference.high - found.difference.value == pytest.approx(2.02 * 0.038, rel=0.1)
    (small,) = _compared(_arm("arm", np.linspace(0, 0.8, QUESTIONS)), _arm("control", 0.38))
    assert small.p == pytest.approx(0.6, abs=0.05)


def test_interval_is_that_of_seeds_alone_where_it_is_the_wider() -> None:
    """Means 0.44, 0.50, 0.56: an error of 0.0346 and 2 degrees of freedom, a reach of 0.149. With the questions' 0.038
    it is 0.051, but with some 9 degrees of freedom, a reach of 0.12."""
    missing = np.linspace(0.1, 0.9, QUESTIONS) + np.array([[-0.06], [0.0], [0.06]])
    (found,) = _compared(_arm("arm", missing), _arm("control"))
    assert found.difference.high - found.difference.value == pytest.approx(0.149, abs=0.001)


def test_questions_are_paired_so_that_what_both_miss_does_not_widen_the_interval() -> None:
    uneven = np.linspace(0, 0.8, QUESTIONS)
    (found,) = _compared(_arm("arm", uneven), _arm("control", uneven + 0.1))
    assert found.difference.value == pytest.approx(-0.1)
    assert found.difference.high - found.difference.low == pytest.approx(0, abs=1e-6)


def test_seeds_that_agree_by_chance_do_not_make_a_difference_certain() -> None:
    """Six arms without a difference, three trainings each, which differ by far more than questions do: in one family of
    twenty may one be called different. By seeds and questions together alone it was every fifth."""
    random, few = np.random.default_rng(5), draw(len(SEEDS), QUESTIONS, resamples=300, seed=1)
    wrong, families = 0, 150
    for _ in range(families):
        arms = [
            _arm(name, 0.3 + random.normal(0, 0.03, (3, 1)) + random.normal(0, 0.05, (3, QUESTIONS)))
            for name in "abcdefg"
        ]
        pairs = [Pair(arm.name, "g") for arm in arms[:-1]]
        found = compare_deviations(pairs, {arm.name: arm for arm in arms}, dict.fromkeys("abcdefg", START), few)
        wrong += min(one.adjusted_p for one in found) <= 0.05
    assert wrong / families < 0.08


def test_holms_correction_is_over_all_pairs() -> None:
    seeds = np.array([[0.1], [0.2], [0.3]])
    alone, beside = (_compared(*arms, START)[0] for arms in ([_arm("a", seeds)], [_arm("a", seeds), _arm("b", seeds)]))
    assert alone.adjusted_p == alone.p == beside.p
    assert beside.adjusted_p == pytest.approx(2 * beside.p)
    assert beside.adjusted.high > alone.adjusted.high == alone.difference.high


def test_adjusted_interval_of_the_last_pair_that_holm_tests_is_not_widened() -> None:
    """Of two pairs the clearer is tested at 0.025 and rejected, so the other is tested at 0.05 as if it were alone."""
    clear, less = np.array([[0.40], [0.41], [0.42]]), np.array([[0.1], [0.2], [0.3]])
    first, second = _compared(_arm("a", clear), _arm("b", less), START)
    assert first.adjusted_p <= 0.05 < second.adjusted_p == second.p
    assert second.adjusted == second.difference
    assert first.adjusted.high - first.adjusted.low > first.difference.high - first.difference.low


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
