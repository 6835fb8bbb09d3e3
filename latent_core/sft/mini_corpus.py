"""The examples latent-mini is pre-trained on: word problems as conversations, loss on the completion only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from latent_core import prompts
from latent_core.benchmarks.word_problems import WordProblem, generate_problem
from latent_core.models import tokens
from latent_core.models.family import chat_family


def problems(split: str, count: int, difficulties: Sequence[int], start: int = 0) -> Iterator[WordProblem]:
    """`count` problems of a split from index `start` on, the difficulties taking turns."""
    for index in range(start, start + count):
        yield generate_problem(split, index, difficulty=difficulties[index % len(difficulties)])


def tokenizer_texts(count: int, difficulties: Sequence[int]) -> Iterator[str]:
    """Texts that show a tokenizer everything a conversation contains."""
    for problem in problems("train", count, difficulties):
        yield f"system\n{prompts.SYSTEM}\nuser\n{prompts.INSTRUCTION}\n{problem.question}\nassistant\n"
        yield f"{problem.solution}\n\n{prompts.render_answer(str(problem.answer))}"


def examples(
    tokenizer: Any, split: str, count: int, difficulties: Sequence[int], start: int = 0
) -> Iterator[dict[str, list[int]]]:
    """Rows with `input_ids` and `labels`; prompt positions are labelled -100."""
    family = chat_family(tokenizer)
    for problem in problems(split, count, difficulties, start):
        prompt = tokens.encode(prompts.render_prompt(problem.question, tokenizer, family), tokenizer)
        target = tokens.encode(prompts.render_target(problem.solution, str(problem.answer), family), tokenizer)
        yield {"input_ids": prompt + target, "labels": [-100] * len(prompt) + target}
