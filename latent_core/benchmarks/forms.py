"""How each benchmark asks and how its answers are graded: the one place that says so, for loading and for grading."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from latent_core.errors import InputError


class PromptForm(StrEnum):
    """What the user's turn holds after the instruction."""

    QUESTION = "question"  # the question as it stands
    OPTIONS = "options"  # the question, one lettered line an option, and a request for the letter


class Grader(StrEnum):
    """What an answer is compared as."""

    MATHEMATICS = "mathematics"  # equal in value, or equal words where the gold is words
    LETTER = "letter"  # the letter of a choice


@dataclass(frozen=True)
class BenchmarkForm:
    """A benchmark's prompt form and grader."""

    prompt: PromptForm
    grader: Grader


_MATHEMATICS = BenchmarkForm(PromptForm.QUESTION, Grader.MATHEMATICS)
FORMS = {
    "word_problems": _MATHEMATICS,
    "gsm8k": _MATHEMATICS,
    "math": _MATHEMATICS,
    "math500": _MATHEMATICS,
    "metamathqa": _MATHEMATICS,
    "mmlu": BenchmarkForm(PromptForm.OPTIONS, Grader.LETTER),
    "file": _MATHEMATICS,
}
FAMILIES = {"file": _MATHEMATICS, "reasoning_gym": _MATHEMATICS}  # NAME:MEMBER
KNOWN = (*FORMS, *(f"{family}:..." for family in FAMILIES))


def benchmark_form(name: str) -> BenchmarkForm:
    """The form of a benchmark or of a member of a family (`reasoning_gym:TASK`); raises InputError for others."""
    family, colon, member = name.partition(":")
    form = FAMILIES.get(family) if colon and member else FORMS.get(name)
    if form is None:
        raise InputError(f"benchmark {name!r} is unknown; use one of {', '.join(KNOWN)}")
    return form


def lettered(question: str, options: list[str]) -> str:
    """The `options` form of a question: options A, B, C … on lines of their own, then what to answer with."""
    lines = [f"{chr(ord('A') + place)}. {option}" for place, option in enumerate(options)]
    return "\n".join([question.strip(), *lines, "Answer with the letter of the correct option."])
