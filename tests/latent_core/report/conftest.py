"""Small evaluations to report: three models, with and without a ratio 1.0 to compare with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from latent_core.evaluation.condition import Kind
from latent_core.report import Evaluation
from tests.support.evaluated import evaluated

Rows = list[dict[str, Any]]


def _rows(correct: int, tokens: int, *, latent: bool = False, text: str = "2 + 2 = 4", questions: int = 8) -> Rows:
    return [
        {
            "question_id": f"q{index}",
            "sample_index": 0,
            "question": f"What is {index} + 2?",
            "gold": "4",
            "level": f"Level {1 + index % 2}",
            "output_token_ids": [1, 2],
            "completion": f"{text}\n</think>\nThe answer is 4.",
            "reasoning": text,
            "answer": "4",
            "verdict": "correct" if index < correct else "wrong",
            "finish_reason": "stop",
            "tokens": tokens + index,
            "reasoning_tokens": tokens // 2,
            "latent_tokens": tokens // 2 if latent else 0,
        }
        for index in range(questions)
    ]


@pytest.fixture(scope="session")
def rows() -> Callable[..., Rows]:
    return _rows


@pytest.fixture(scope="session")
def evaluations() -> list[Evaluation]:
    """base without ratio 1.0; standard and dual with it. Means are tokens + 3.5."""
    made = [
        ("base", Kind.REDUCE, 0.5, _rows(4, 100)),
        ("standard", Kind.RATIO, 1.0, _rows(8, 197 - 1)),
        ("standard", Kind.RATIO, 0.5, _rows(6, 100 - 4)),
        ("dual", Kind.RATIO, 1.0, _rows(6, 200, latent=True)),
        ("dual", Kind.RATIO, 0.5, _rows(6, 120, latent=True)),
    ]
    return [evaluated(model, kept, kind, ratio) for model, kind, ratio, kept in made]
