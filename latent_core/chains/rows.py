"""From a row of a table to the chains of thought in it, or the reason why it has none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from latent_core.benchmarks.rows import Row
from latent_core.benchmarks.values import Unusable, as_answer, as_question
from latent_core.chains.marks import Parts, parted
from latent_core.config.chains import ChainColumns, ChainGrading, Unmarked
from latent_core.prompts import INSTRUCTION
from latent_core.scoring import choices
from latent_core.scoring.grading import reference

LONGEST_TEXT = 1_000_000  # characters of a question or a chain; tokenising takes memory in proportion
LARGEST_SAMPLE = 2**31 - 1  # of the column's type
_LONGEST_DETAIL = 200  # characters: an id, or an answer, may be as long as a line
_REASONING_FIELDS = (
    "reasoning_content",
    "reasoning",
    "thinking",
)  # beside the content of a message, in logs of servers


class Reason(StrEnum):
    """Why a row, or one of its chains, is left out."""

    BROKEN_LINE = "broken_line"  # no JSON object, or no UTF-8
    TOO_LARGE = "too_large"  # a line over 64 MB, or a text over a million characters
    NO_QUESTION = "no_question"  # null, empty, or a value that is no question
    NO_ANSWER = "no_answer"
    NO_CHAIN = "no_chain"
    BAD_ID = "bad_id"  # an id or a sample number that is none
    DUPLICATE = "duplicate"  # the same question with the same text, apart from white space
    DUPLICATE_ID = "duplicate_id"  # an id that names another question, or a sample of the id that was there already


class LeftOutError(Exception):
    """A row or a chain is not used; `detail` says more, without the row's place."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        detail = detail if len(detail) <= _LONGEST_DETAIL else f"{detail[:_LONGEST_DETAIL]}..."
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason


@dataclass(frozen=True)
class Asked:
    """What all chains of a row share."""

    question: str
    gold: str | None
    id: str | None
    sample: int | None


class Chain(NamedTuple):
    """A solution in its parts (see `Parts`); where `reasoning` is None, `words` is all of it."""

    reasoning: str | None
    words: str
    is_closed: bool


def asked_in(row: Row, columns: ChainColumns, grading: ChainGrading) -> Asked:
    """Question, right answer, id and sample number of a row; raises LeftOutError."""
    question = _read(Reason.NO_QUESTION, as_question, row.get(columns.question))
    if question is None:
        raise LeftOutError(Reason.NO_QUESTION)
    question = _bare(question)
    gold = _read(Reason.NO_ANSWER, as_answer, row.get(columns.answer)) if columns.answer else None
    gold = reference(gold).strip() if gold is not None else None
    if not gold and grading is not ChainGrading.TRUSTED:
        raise LeftOutError(Reason.NO_ANSWER)
    if grading is ChainGrading.LETTER and choices.choice_letter(gold or "") is None:
        raise LeftOutError(Reason.NO_ANSWER, f"{gold!r} is no letter from A to J")
    if not question:
        raise LeftOutError(Reason.NO_QUESTION)
    if len(question) > LONGEST_TEXT or len(gold or "") > LONGEST_TEXT:
        raise LeftOutError(Reason.TOO_LARGE)
    named = _read(Reason.BAD_ID, as_answer, row.get(columns.id)) if columns.id else None
    return Asked(question, gold or None, named, _sample(row.get(columns.sample)) if columns.sample else None)


def chains_in(row: Row, columns: ChainColumns, unmarked: Unmarked) -> Iterator[Chain | LeftOutError]:
    """The solutions of a row, one or more; in the place of one that cannot be used stands why."""
    completions, reasonings = _items(row, columns.completion), _items(row, columns.reasoning)
    if completions is not None and reasonings is not None and len(completions) != len(reasonings):
        yield LeftOutError(Reason.NO_CHAIN, f"{len(reasonings)} reasonings beside {len(completions)} completions")
        return
    number = len(completions if completions is not None else reasonings or [])
    if not number:
        yield LeftOutError(Reason.NO_CHAIN)
    for index in range(number):
        try:
            completion = None if completions is None else completions[index]
            yield _chain(completion, None if reasonings is None else reasonings[index], columns, unmarked)
        except LeftOutError as error:
            yield error


def _chain(completion: object, reasoning: object, columns: ChainColumns, unmarked: Unmarked) -> Chain:
    said = _read(Reason.NO_CHAIN, as_answer, completion)
    thought = _read(Reason.NO_CHAIN, as_answer, reasoning)
    if thought is None:
        thought = _beside(completion)
    if len(said or "") + len(thought or "") > LONGEST_TEXT:
        raise LeftOutError(Reason.TOO_LARGE)
    if said is None and thought is None:
        raise LeftOutError(Reason.NO_CHAIN)
    if said is None:
        parts = parted(thought or "")
        text = "\n\n".join(filter(None, (parts.reasoning, parts.words)))
        # Without a column of completions, what it says of its answer is in the reasoning; with an empty one it was cut.
        is_whole = columns.completion is None and parts.is_closed
        found = Chain(None, text, True) if is_whole else Chain(text, "", False)
    else:
        parts = parted(said)
        if parts.is_closed and not parts.reasoning:
            parts = _unreasoned(parts, thought, unmarked)
        found = Chain(*parts)
    if not (found.reasoning or found.words):
        raise LeftOutError(Reason.NO_CHAIN)
    return found


def _unreasoned(parts: Parts, thought: str | None, unmarked: Unmarked) -> Parts:
    """A completion without reasoning of its own: what stands beside it is that, if anything does."""
    if thought is not None:
        before = parted(thought)
        return Parts("\n\n".join(filter(None, (before.reasoning, before.words))), parts.words)
    if parts.reasoning is None and unmarked is Unmarked.CUT:
        return Parts(parts.words, "", False)
    return Parts(None, parts.words)  # an empty pair of marks, as of models that are told not to think


def _items(row: Row, column: str | None) -> list[object] | None:
    """The solutions of a cell: those of a list, unless the list is a chat; None for a column or cell without any."""
    value = row.get(column) if column else None
    if value is None or value == []:
        return None
    if isinstance(value, list) and not all(isinstance(item, dict) for item in value):
        return list(value)
    return [value]


def _beside(completion: object) -> str | None:
    """The reasoning that a chat's last message of the role assistant has beside its content."""
    chat = completion if isinstance(completion, list) else []
    said = [message for message in chat if isinstance(message, dict) and message.get("role") == "assistant"]
    last = said[-1] if said else {}
    return next((last[name] for name in _REASONING_FIELDS if isinstance(last.get(name), str) and last[name]), None)


def _bare(question: str) -> str:
    """A question without the instruction that every prompt gives anyway."""
    question = question.strip()
    return question.removeprefix(INSTRUCTION).strip().removesuffix(INSTRUCTION).strip()


def _sample(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_SAMPLE:
        raise LeftOutError(Reason.BAD_ID, f"sample {value!r} is no whole number from 0 on")
    return value


def _read(reason: Reason, reading: Callable[[object], str | None], value: object) -> str | None:
    try:
        return reading(value)
    except Unusable as error:
        raise LeftOutError(reason, str(error)) from error
