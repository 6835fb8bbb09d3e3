"""Several samples a question: pass@k and maj@k by hand, and summaries that were stored without them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from latent_core.evaluation.summary import Summary, summarise


def _rows(question: int, answers: str, gold: str = "a") -> list[dict[str, Any]]:
    return [
        {
            "question_id": f"q{question}", "sample_index": index, "level": None, "tokens": 1, "reasoning_tokens": 0,
            "latent_tokens": 0, "answer": None if answer == "-" else answer,
            "verdict": "correct" if answer == gold else "unparsed" if answer == "-" else "wrong",
        }
        for index, answer in enumerate(answers)
    ]  # fmt: skip


def test_four_samples_give_unbiased_pass_and_exact_majority() -> None:
    summary = summarise([*_rows(0, "aabc"), *_rows(1, "abb-"), *_rows(2, "bbbb")])
    assert list(summary.at_k) == [1, 2, 4]
    assert summary.at_k[1].passed == pytest.approx((2 / 4 + 1 / 4 + 0) / 3) == summary.accuracy.value
    assert summary.at_k[2].passed == pytest.approx((1 - 1 / 6 + 1 - 3 / 6 + 0) / 3)  # C(2,2)/C(4,2), C(3,2)/C(4,2)
    assert summary.at_k[4] == pytest.approx((2 / 3, 1 / 3))
    assert summary.at_k[2].majority is None


def test_number_of_samples_that_is_no_power_of_two_is_included() -> None:
    assert list(summarise(_rows(0, "aab")).at_k) == [1, 2, 3]


def test_rows_without_answers_have_no_majority() -> None:
    rows = [{key: value for key, value in row.items() if key != "answer"} for row in _rows(0, "aab")]
    assert summarise(rows).at_k[3] == (1.0, None)


def test_metrics_come_back_from_json_and_older_ones_are_still_read() -> None:
    several, single = summarise(_rows(0, "aab")), summarise(_rows(0, "a"))
    assert Summary.from_metrics(json.loads(json.dumps(several.to_metrics()))) == several
    assert "at_k" not in single.to_metrics()
    assert Summary.from_metrics(single.to_metrics()).at_k == {}
