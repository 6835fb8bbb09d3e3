"""Where a completion without think marks stops reasoning: at its answer sentence, however that is spelt."""

from __future__ import annotations

import time

import pytest

from latent_core import prompts
from latent_core.scoring.statement import before_answer


@pytest.mark.parametrize(
    "statement",
    [
        "\n\n" + prompts.render_answer("5"),
        "\nThe answer is 5.",
        " The answer is 5.",
        " So the answer is 5.",
        " Therefore, the final answer is $\\boxed{5}$. I hope it is correct.",
        "\nAnswer: 5",
        "\n**Answer:** 5",
        "\n#### 5",
        "\n\n**Final Answer**\n5",
        "\n\n### Final Answer\n\n\\boxed{5}",
        "\n\\boxed{5}",
        " So $x = \\boxed{5}$.",
        "\n\\[\n x = \\boxed{5}\n\\]",
        " \\[\n\\boxed{5}\n\\]",
        " $$\n\\boxed{5}\n$$",
        " Hence she has $\\boxed{5}$ apples. Let me check: it fits.",
        " Then $\\boxed{5}$ and $\\boxed{5}$.",
        "\nFinal Answer: The final answer is $5$. I hope it is correct.",
        "\n\n5",
        "\n**5**",
        "\nSo the answer is 5.\n\n" + prompts.render_answer("5"),
        "\nAnswer: \\boxed{5",
    ],
)
def test_before_answer_statement_in_any_spelling_is_no_reasoning(statement: str) -> None:
    reasoning = "She had 2.5 apples and got 2.5 more.\n2.5 + 2.5 = 5 apples."
    assert before_answer(reasoning + statement) == reasoning


@pytest.mark.parametrize(
    ("completion", "reasoning"),
    [
        ("2 + 3 = 5, so the answer is \\boxed{5}.", "2 + 3 = 5"),
        ("We have 2 + 3 = $\\boxed{5}$", "We have 2 + 3 ="),
        ("We add.\nThus $2 + 3 = 6 - 1 = \\boxed{5}$.", "We add.\nThus $2 + 3 = 6 - 1"),
        ("The answer key was lost. We add: 5.\nThe answer is 5", "The answer key was lost. We add: 5."),
        ("It rains.\nB", "It rains."),
        ("2 + 3 = 5", "2 + 3 = 5"),
        ("never came to an", "never came to an"),
        ("\\boxed{5}", ""),
        ("5", ""),
        ("<think>We add.</think>The answer is 5", "We add."),
    ],
)
def test_before_answer_keeps_what_reasons_and_all_where_no_answer_is_stated(completion: str, reasoning: str) -> None:
    assert before_answer(completion) == reasoning


@pytest.mark.parametrize("unit", [" ", "answer ", "answer is 5. ", "\n", "\\boxed{5}, ", "####1 ", "so ", "= ", "$"])
def test_before_answer_of_hostile_repetition_takes_linear_time(unit: str) -> None:
    for end in (r"\boxed{5}", "x"):
        started = time.process_time()
        before_answer(unit * (100_000 // len(unit)) + end)
        assert time.process_time() - started < 2  # seconds, of which one is used; in quadratic time it would be minutes
