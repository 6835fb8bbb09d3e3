"""Questions that carry what does not matter: instructions, remarks, marks and numbers around an unchanged question.

A model that has read bare questions only takes every further word for something new. Kinds in `TRAINED` are mixed into
what the embedded model is trained on. Those in `HELD_OUT` never are: a model is only evaluated under them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

from latent_core.benchmarks import noise_texts as texts
from latent_core.errors import InputError

# Part of an evaluation's identity: raise it when any kind's texts change. Corpora that carry noise do not have it in
# theirs: raise the versions of the stages mini_init and mini_corpus as well.
NOISE_VERSION = 2

Draw = random.Random
_Kind = Callable[[str, Draw, str], str]  # question, draw, end-of-turn mark


def add_noise(question: str, kind: str, draw: Draw, end_of_turn: str) -> str:
    """The question with one kind of noise; `end_of_turn` is the mark that ends the model's turns.

    Raises InputError for an unknown kind.
    """
    if kind not in KINDS:
        raise InputError(f"noise: unknown kind {kind!r}; choose one of {', '.join(KINDS)}")
    return KINDS[kind](question, draw, end_of_turn)


class NoisyQuestion(NamedTuple):
    """A question with noise. `tail` is the end of `text` that holds end-of-turn marks, which are the model's own tokens
    there and not text; empty where there are none."""

    text: str
    tail: str


def noisy_question(question: str, kind: str, question_id: str, end_of_turn: str) -> NoisyQuestion:
    """The same, drawn for a question by its id, so that an evaluation always asks the same."""
    text = add_noise(question, kind, random.Random(f"noise/{NOISE_VERSION}/{kind}/{question_id}"), end_of_turn)
    return NoisyQuestion(text, text.removeprefix(question) if kind in MARKED else "")


def _instruction_before(question: str, draw: Draw, end_of_turn: str) -> str:
    return f"{draw.choice(texts.INSTRUCTIONS_BEFORE)}{draw.choice((' ', chr(10)))}{question}"


def _instruction_after(question: str, draw: Draw, end_of_turn: str) -> str:
    return f"{question}{draw.choice((' ', chr(10)))}{draw.choice(texts.INSTRUCTIONS_AFTER)}"


def _remark(question: str, draw: Draw, end_of_turn: str) -> str:
    return _with_sentence(question, texts.filled(draw.choice(texts.REMARKS), draw), draw)


def _sentence(question: str, draw: Draw, end_of_turn: str) -> str:
    return _with_sentence(question, texts.filled(draw.choice(texts.HELD_OUT_REMARKS), draw), draw)


def _with_sentence(question: str, sentence: str, draw: Draw) -> str:
    """The sentence before, after or between those of the question."""
    sentences = question.split(". ")
    place = draw.randrange(len(sentences) + 1)
    if place == len(sentences):
        return f"{question} {sentence}"
    sentences[place] = f"{sentence} {sentences[place]}"
    return ". ".join(sentences)


def _marks(question: str, draw: Draw, end_of_turn: str) -> str:
    mark = draw.choice(texts.MARKS)
    if draw.random() < 0.3:
        return f"{mark} {question}"
    return f"{question}{draw.choice((' ', '', chr(10)))}{mark}"


def _number(question: str, draw: Draw, end_of_turn: str) -> str:
    number = texts.bare_number(draw)
    if draw.random() < 0.3:
        return f"{number} {question}"
    return f"{question}{draw.choice((' ', ' ', chr(10), ''))}{number}"


def _label(question: str, draw: Draw, end_of_turn: str) -> str:
    key = draw.choice(texts.LABELS) if draw.random() < 0.6 else texts.invented_word(draw).capitalize()
    shape = draw.random()
    if shape < 0.4:
        value = draw.choice(texts.VALUES)
    elif shape < 0.7:
        value = " ".join(texts.invented_word(draw) for _ in range(draw.randint(1, 2)))
    else:
        value = texts.bare_number(draw)
    label = f"{key}{draw.choice((': ', ': ', ' = ', ' - '))}{value}{draw.choice(('.', '.', ''))}"
    if draw.random() < 0.2:
        return f"{label}\n{question}"
    return f"{question}{draw.choice((' ', ' ', chr(10)))}{label}"


def _letters(question: str, draw: Draw, end_of_turn: str) -> str:
    words = " ".join(texts.invented_word(draw) for _ in range(draw.randint(1, 4)))
    if draw.random() < 0.5:
        words = words.capitalize() + draw.choice((".", "!", "?"))
    return f"{words} {question}" if draw.random() < 0.2 else f"{question} {words}"


def _end_marks(question: str, draw: Draw, end_of_turn: str) -> str:
    shape = draw.random()
    if shape < 0.3:
        inside = ""
    elif shape < 0.55:
        inside = draw.choice(texts.BETWEEN_MARKS)
    elif shape < 0.75:
        inside = texts.invented_word(draw)
    else:
        inside = f"{draw.choice(texts.LABELS).lower()} {texts.bare_number(draw)}"
    return f"{question}{end_of_turn}{inside}{end_of_turn}"


def _suffix(question: str, draw: Draw, end_of_turn: str) -> str:
    """As TokenSkip asks for a ratio of 0.5 (arXiv 2502.12067 §3.3): of a model that was never trained on ratios."""
    return f"{question}{end_of_turn}0.5{end_of_turn}"


def _phrase(question: str, draw: Draw, end_of_turn: str) -> str:
    return f"{question} {draw.choice(texts.HELD_OUT_PHRASES)}"


def _date(question: str, draw: Draw, end_of_turn: str) -> str:
    return f"{question}{draw.choice((' ', chr(10)))}{texts.date(draw)}"


TRAINED = (
    "instruction_before", "instruction_after", "remark", "marks", "number", "label", "letters", "end_marks",
)  # fmt: skip
MARKED = ("end_marks", "suffix")  # kinds that put marks behind the question
HELD_OUT = ("suffix", "phrase", "date", "sentence")
KINDS: MappingProxyType[str, _Kind] = MappingProxyType(
    {
        "instruction_before": _instruction_before,
        "instruction_after": _instruction_after,
        "remark": _remark,
        "marks": _marks,
        "number": _number,
        "label": _label,
        "letters": _letters,
        "end_marks": _end_marks,
        "suffix": _suffix,
        "phrase": _phrase,
        "date": _date,
        "sentence": _sentence,
    }
)
