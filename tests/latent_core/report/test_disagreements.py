"""Questions on which models disagree: counted, chosen the same way every time, the model that is right first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from latent_core.evaluation.condition import Kind
from latent_core.report import Evaluation
from latent_core.report.disagreements import disagreements
from tests.support.evaluated import evaluated

Rows = Callable[..., list[dict[str, Any]]]


def made(rows: Rows) -> list[Evaluation]:
    swapped = rows(10, 20, questions=20)
    for place in range(12, 18):  # right where the base is wrong
        swapped[place]["verdict"] = "correct"
    return [
        evaluated("base", rows(12, 40, questions=20), Kind.UNTRAINED, 1.0),
        evaluated("standard", swapped),
        evaluated("standard", rows(20, 10, questions=20), ratio=0.5),
        evaluated("dual", rows(0, 10, questions=20), ratio=0.5),
    ]


def test_disagreements_count_both_directions_and_show_who_is_right_first(rows: Rows) -> None:
    pairs = disagreements(made(rows))
    assert [(pair.first, pair.second) for pair in pairs] == [
        ("standard, ratio 1", "base, untrained"),
        ("dual, ratio 0.5", "base, untrained"),
        ("dual, ratio 0.5", "standard, ratio 0.5"),
    ]
    first = pairs[0]
    assert (first.only_first, first.only_second, first.questions) == (6, 2, 20)
    assert [item.name for item in first.shown] == ["q12", "q17", "q10", "q11"]
    assert [item.columns[0].condition for item in first.shown] == ["standard, ratio 1"] * 2 + ["base, untrained"] * 2
    for pair in pairs:
        for item in pair.shown:
            assert [column.outcome for column in item.columns] == ["correct", "wrong"]


def test_disagreements_leave_out_pairs_that_agree_or_hold_other_questions(rows: Rows) -> None:
    base = evaluated("base", rows(12, 40, questions=20), Kind.UNTRAINED, 1.0)
    assert disagreements([base, evaluated("standard", rows(12, 20, questions=20))]) == []
    assert disagreements([base, evaluated("standard", rows(2, 20, questions=10))]) == []
