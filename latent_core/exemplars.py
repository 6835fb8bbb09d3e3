"""Worked examples shown before a question, and those of our own for Chain of Draft and Sketch of Thought."""

from __future__ import annotations

from typing import NamedTuple

from latent_core.config.prompting import Prompting


class Exemplar(NamedTuple):
    """A question with the reasoning and the answer a model shall imitate."""

    question: str
    reasoning: str
    answer: str


_QUESTIONS = (
    ("A baker has 24 rolls. He sells 9 in the morning and 7 in the afternoon. How many rolls are left?", "8"),
    ("Mia buys 4 notebooks for 3 dollars each and pays with a 20 dollar note. How much change does she get?", "8"),
    (
        "A tank holds 60 liters. A third of it is used, then 15 liters are poured in. How many liters are in the tank?",
        "55",
    ),
)
# At most five words a step (Chain of Draft, arXiv 2502.18600 §3).
_DRAFTS = (
    "start 24\nsold: 9 + 7 = 16\nleft: 24 - 16 = 8",
    "cost: 4 * 3 = 12\nchange: 20 - 12 = 8",
    "used: 60 / 3 = 20\nafter use: 60 - 20 = 40\nrefilled: 40 + 15 = 55",
)
# Variables and equations, one arrow a step (Sketch of Thought, arXiv 2503.05179, "chunked symbolism").
_SKETCHES = (
    "r = 24 → s = 9 + 7 = 16 → r - s = 24 - 16 = 8",
    "n = 4, p = 3 → c = 4 * 3 = 12 → 20 - c = 20 - 12 = 8",
    "v = 60 → u = 60 / 3 = 20 → v - u = 60 - 20 = 40 → 40 + 15 = 55",
)


def exemplars_of(prompting: Prompting) -> tuple[Exemplar, ...]:
    """The worked examples that belong to a way of prompting; empty for those that only instruct."""
    match prompting:
        case Prompting.CHAIN_OF_DRAFT:
            texts = _DRAFTS
        case Prompting.SKETCH_OF_THOUGHT:
            texts = _SKETCHES
        case _:
            return ()
    return tuple(Exemplar(question, text, answer) for (question, answer), text in zip(_QUESTIONS, texts, strict=True))
