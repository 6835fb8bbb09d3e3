"""Direct answers: the example holds the answer and no reasoning."""

from __future__ import annotations

from collections import Counter

from latent_core.benchmarks.problem import Problem
from latent_core.config.direct import DirectExamplesConfig
from latent_core.methods.direct import direct_examples
from latent_core.models.readable import ReadableModel
from latent_core.prompts import render_prompt

PROBLEMS = [Problem("q1", "What is 1 + 1?", "2", rationale="1 + 1 = 2"), Problem("q2", "word " * 600, "3")]


def test_direct_example_asks_as_ever_and_answers_at_once(plain: ReadableModel) -> None:
    accounting: Counter[str] = Counter()
    (row,) = direct_examples(PROBLEMS, plain, DirectExamplesConfig(max_length=200), accounting)
    assert row["prompt"] == render_prompt("What is 1 + 1?", plain.tokenizer, plain.family)
    supervised = plain.decode([label for label in row["labels"] if label != -100])
    assert supervised == row["target"] == "\n</think>\n\nThe final answer is: $\\boxed{2}$<|im_end|>"
    assert accounting == {"kept": 1, "too_long": 1}
