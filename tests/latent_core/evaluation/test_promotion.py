"""The rule by which a model is better than the champion, on constructed answers."""

from __future__ import annotations

import pytest

from latent_core.errors import InputError
from latent_core.evaluation.promotion import compare_models
from latent_core.evaluation.scores import Scores, read_scores


def _pair(both: int, won: int, lost: int, neither: int = 10) -> tuple[Scores, Scores]:
    """Champion and candidate: `won` questions are right for the candidate alone, `lost` for the champion alone."""
    answers = [(True, True)] * both + [(False, True)] * won + [(True, False)] * lost + [(False, False)] * neither

    def scores(side: int) -> Scores:
        rows = [
            {"question_id": f"q{number}", "sample_index": 0, "level": None, "tokens": 1, "reasoning_tokens": 1}
            | {"latent_tokens": 0, "verdict": "correct" if answer[side] else "wrong"}
            for number, answer in enumerate(answers)
        ]
        return read_scores(rows)

    return scores(0), scores(1)


@pytest.mark.parametrize(
    ("pairs", "is_better", "line"),
    [
        ({}, False, "no evaluation of the same questions"),
        ({"a": (20, 6, 0)}, True, "rose beyond noise at a"),  # McNemar: p = 0.031
        ({"a": (20, 5, 0)}, False, "in none of 1 conditions"),  # p = 0.0625
        ({"a": (20, 6, 0), "b": (20, 0, 0)}, False, "in none of 2 conditions"),  # 0.031 > 0.05 / 2
        ({"a": (20, 7, 0), "b": (20, 6, 0)}, True, "at a, b"),  # 0.016 < 0.05 / 2, then 0.031 < 0.05
        ({"a": (20, 9, 0), "b": (20, 0, 9)}, False, "fell beyond noise at b"),
        ({"a": (20, 0, 6)}, False, "fell beyond noise at a"),
    ],
    ids=["nothing to compare", "rose", "within noise", "two tests", "Holm's second step", "rose and fell", "fell"],
)
def test_model_is_better_when_it_rose_somewhere_and_fell_nowhere_beyond_noise(
    pairs: dict[str, tuple[int, int, int]], is_better: bool, line: str
) -> None:
    verdict = compare_models({condition: _pair(*counts) for condition, counts in pairs.items()})
    assert verdict.is_better is is_better
    assert line in verdict.line() and verdict.line().startswith("better" if is_better else "not better")
    assert len(verdict.changes) == len(pairs)


def test_change_of_a_condition_is_told_from_champion_to_candidate() -> None:
    verdict = compare_models({"ratio 1": _pair(20, 2, 12, neither=6)})
    (line,) = verdict.changes
    assert line.startswith("ratio 1: -25.0 points (95 % ") and "p = 0.013" in line


def test_models_that_answered_other_questions_are_not_compared() -> None:
    with pytest.raises(InputError):
        compare_models({"ratio 1": (_pair(20, 0, 0)[0], _pair(5, 0, 0)[1])})
