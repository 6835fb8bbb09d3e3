"""One solution in several registers: whole sentences, equations, drafts, and sentences with words left out.

A model that reads only sentences takes every shorter form for a new language. No instruction here names a ratio or a
number of percent: asking for a length is left to what is trained later.
"""

from __future__ import annotations

import random
import re
from typing import NamedTuple

from latent_core.benchmarks.word_problems import WordProblem
from latent_core.config.prompting import Prompting
from latent_core.config.registers import Register, RegisterShares

TELEGRAM_INSTRUCTIONS = (
    "Leave out words that are not needed.",
    "You may leave out words that are not needed.",
    "Leave out all words that are not needed.",
    "Drop the words that nobody needs.",
    "Write only the words that matter.",
    "Skip unimportant words.",
    "Write in telegram style.",
    "Keep the numbers and leave out unneeded words.",
    "Use fewer words.",
    "Shorten your sentences.",
    "Write notes, not sentences.",
    "Leave out what goes without saying.",
)
PROMPTINGS = {
    Register.VERBOSE: Prompting.RATIO,  # at 1.0, which is the plain question
    Register.EQUATIONS: Prompting.CONCISE,
    Register.DRAFT: Prompting.CHAIN_OF_DRAFT,
    Register.TELEGRAM: Prompting.RATIO,
}
_EQUATION_FRAMES = (
    "We start with {given}. {equations}. So the answer is {answer}.",
    "Start: {given}. {equations}. Answer: {answer}.",
    "{equations}. So it is {answer}.",
    "Given {given}: {equations}. That makes {answer}.",
)
_KEPT = re.compile(r"[\d=+*/]|^-$")  # words with a digit, and operators


class Written(NamedTuple):
    """A solution in some register, and what the prompt adds to the project's own instruction for it."""

    text: str
    prompting: Prompting
    instruction: str = ""


def draw_register(shares: RegisterShares, draw: random.Random) -> Register:
    """A register, each as often as its share says."""
    place = draw.random()
    for register in Register:
        place -= shares.share(register)
        if place < 0:
            return register
    return max(Register, key=shares.share)  # the shares add up to a little less than 1 in floating point


def write(problem: WordProblem, register: Register, shares: RegisterShares, draw: random.Random) -> Written:
    """The problem's solution in a register."""
    prompting = PROMPTINGS[register]
    match register:
        case Register.VERBOSE:
            return Written(problem.solution, prompting)
        case Register.EQUATIONS:
            return Written(equations(problem, draw), prompting)
        case Register.DRAFT:
            return Written(draft(problem), prompting)
        case Register.TELEGRAM:
            share = draw.uniform(shares.least_dropped, shares.most_dropped)
            return Written(telegram(problem.solution, share, draw), prompting, draw.choice(TELEGRAM_INSTRUCTIONS))


def equations(problem: WordProblem, draw: random.Random) -> str:
    """The equations alone, in a short frame."""
    written = ". ".join(step.equation for step in problem.steps)
    return draw.choice(_EQUATION_FRAMES).format(given=_given(problem), equations=written, answer=problem.answer)


def draft(problem: WordProblem) -> str:
    """A line for each step: a note of a few words and the equation (Chain of Draft, arXiv 2502.18600 §3)."""
    notes = problem.notes or ("step",) * len(problem.steps)
    lines = [f"{note}: {step.equation}" for note, step in zip(notes, problem.steps, strict=True)]
    return "\n".join([f"start {_given(problem)}", *lines])


def telegram(text: str, share: float, draw: random.Random) -> str:
    """The text with `share` of its words left out at random; numbers, operators and equations always stay.

    `share` counts among the words that may go. A word that goes takes its punctuation along; spaces stay single.
    """
    words = text.split(" ")
    places = [place for place, word in enumerate(words) if _KEPT.search(word) is None]
    gone = set(draw.sample(places, round(share * len(places))))
    return " ".join(word for place, word in enumerate(words) if place not in gone)


def _given(problem: WordProblem) -> str:
    numbers = problem.given or (problem.steps[0].before,)
    return " and ".join(map(str, numbers))
