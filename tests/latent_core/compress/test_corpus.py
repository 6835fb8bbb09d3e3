"""What requested ratios became, over the texts of a corpus."""

from __future__ import annotations

from typing import Any

import pytest

from latent_core.compress.corpus import RatioDrift


def _text(ratio: float, before: int, after: int, retained: bool) -> dict[str, Any]:
    achieved = after / before if before else 1.0
    counts = {"tokens_before": before, "tokens_after": after, "achieved_ratio": achieved}
    return {"ratio": ratio, "answer_retained": retained} | counts


def test_drift_weighs_texts_by_their_tokens_and_answers_by_their_number() -> None:
    rows = RatioDrift([_text(0.5, 100, 60, True), _text(0.3, 10, 3, True), _text(0.5, 10, 1, False)]).rows()
    assert [row["ratio"] for row in rows] == [0.5, 0.3]
    assert rows[0] == {
        "ratio": 0.5,
        "texts": 2,
        "achieved_ratio": pytest.approx(61 / 110),
        "drift": pytest.approx(0.5 - 61 / 110),
        "achieved_q05": pytest.approx(0.1 + 0.05 * 0.5),
        "achieved_q95": pytest.approx(0.1 + 0.95 * 0.5),
        "mean_tokens": 30.5,
        "answer_retention": 0.5,
    }


def test_drift_of_texts_without_a_token_is_the_whole_ratio() -> None:
    (row,) = RatioDrift([_text(0.5, 0, 0, False)]).rows()
    assert (row["achieved_ratio"], row["drift"], row["texts"]) == (0.0, 0.5, 1)
