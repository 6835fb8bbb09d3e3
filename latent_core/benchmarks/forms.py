"""What the prompt of a benchmark holds and what its answers are graded as."""

from __future__ import annotations

from enum import StrEnum


class PromptForm(StrEnum):
    """What the user's turn holds after the instruction."""

    QUESTION = "question"  # the question as it stands
    OPTIONS = "options"  # the question, one lettered line an option, and a request for the letter


class Grader(StrEnum):
    """What an answer is compared as."""

    MATHEMATICS = "mathematics"  # equal in value, or equal words where the gold is words
    LETTER = "letter"  # the letter of a choice


def lettered(question: str, options: list[str]) -> str:
    """The `options` form of a question: options A, B, C … on lines of their own, then what to answer with."""
    lines = [f"{chr(ord('A') + place)}. {option}" for place, option in enumerate(options)]
    return "\n".join([question.strip(), *lines, "Answer with the letter of the correct option."])
