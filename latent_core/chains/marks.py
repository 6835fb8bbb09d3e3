"""Where the reasoning of a text ends, whichever family of models has marked it."""

from __future__ import annotations

import re
from typing import NamedTuple

from latent_core.prompts import render_answer
from latent_core.think_marks import WRITTEN_PAIRS

_ENDS = (
    "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>", "<|return|>", "<|end|>", "<end_of_turn>",
    "<｜end▁of▁sentence｜>", "</s>", "<eos>",
)  # fmt: skip
_FINAL_CHANNEL = "<|channel|>final<|message|>"  # harmony's; what stands between the reasoning and it is no text
_SOLUTION_MARKS = ("<|begin_of_solution|>", "<|end_of_solution|>")
_ANSWER_CLOSE = "</answer>"
_ANSWER = re.compile(rf"<answer>(.*?){_ANSWER_CLOSE}", re.DOTALL)


class Parts(NamedTuple):
    """A text as its marks divide it. `reasoning` is None where it has no marks; `is_closed` says that it was ended."""

    reasoning: str | None
    words: str
    is_closed: bool = True


def parted(text: str) -> Parts:
    """The reasoning of a text, and its words after that, both without marks and without tokens that end a turn.

    The marks are those of the family that appears first. The reasoning ends at the last closing mark. Where a mark is
    opened after that, or never closed, all is reasoning, and it is not closed.
    """
    text = _without_end(text)
    found = [(place, pair) for pair in WRITTEN_PAIRS for mark in pair if (place := text.find(mark)) >= 0]
    if not found:
        return Parts(None, _plain(text))
    opening, closing = min(found)[1]
    before, closed, after = text.rpartition(closing)
    is_closed = bool(closed) and opening not in after
    if not is_closed:
        before, after = text, ""
    reasoning = before.replace(opening, "").replace(closing, "").strip()
    return Parts(reasoning, _plain(after), is_closed)


def _without_end(text: str) -> str:
    text = text.strip()
    stop = len(text)
    while (end := next((end for end in _ENDS if text.endswith(end, 0, stop)), None)) is not None:
        stop -= len(end)
        while stop and text[stop - 1].isspace():
            stop -= 1
    return text[:stop]


def _plain(words: str) -> str:
    """What was said after the reasoning: an answer in tags is written as the box that graders look for."""
    if _FINAL_CHANNEL in words:
        words = words.rpartition(_FINAL_CHANNEL)[2]
    for mark in _SOLUTION_MARKS:
        words = words.replace(mark, "")
    end = words.rfind(_ANSWER_CLOSE) + len(_ANSWER_CLOSE)  # no <answer> behind it is followed to the end of the text
    answers = list(_ANSWER.finditer(words, 0, end))
    if answers:
        last, said = answers[-1], answers[-1][1].strip()
        boxed = said if "\\boxed" in said else render_answer(said)
        words = f"{words[: last.start()]}{boxed}{words[last.end() :]}"
    return words.strip()
