"""The graded samples of evaluations: an index without texts is read first, one sample's texts when it is looked at."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from latent_core.errors import InputError
from latent_core.scoring.grading import Outcome
from latent_core.store import Artifact

_INDEX = ("question_id", "sample_index", "level", "verdict", "tokens", "reasoning_tokens")
_TEXTS = (*_INDEX, "question", "gold", "finish_reason", "completion", "reasoning", "answer", "latent_tokens")
_INDEXES = 32  # held in memory, 0.2 kB a sample


class Show(StrEnum):
    """Which samples are listed."""

    ALL = "all"
    WRONG = "wrong"
    TRUNCATED = "truncated"
    UNPARSED = "unparsed"
    DISAGREE = "disagree"


@dataclass(frozen=True)
class Evaluated:
    """One model under one condition; `ratio` is None for a condition that asks for none. Its artifact is whole."""

    model: str
    condition: str
    ratio: float | None
    artifact: Artifact

    @property
    def key(self) -> str:
        """What a link calls it, e.g. dual/ratio 0.5."""
        return f"{self.model}/{self.condition}"

    @property
    def name(self) -> str:
        """What a reader calls it, e.g. dual, ratio 0.5."""
        return f"{self.model}, {self.condition}"


@dataclass(frozen=True)
class EvaluatedRun:
    """Evaluations that are looked at together; `missing` names those of a report that the store has no more."""

    key: str
    title: str
    evaluations: tuple[Evaluated, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """A sample without its texts; `place` is its row in the table."""

    place: int
    question_id: str
    sample_index: int
    level: str | None
    verdict: str
    tokens: int
    reasoning_tokens: int

    @property
    def key(self) -> str:
        """What a link calls it: the question's id, and which of its samples where that is not the first."""
        return f"{self.question_id}#{self.sample_index}" if self.sample_index else self.question_id

    @property
    def is_correct(self) -> bool:
        return self.verdict == Outcome.CORRECT


class GradedSamples:
    """Reads evaluations' samples; `table` is their table's name. Usable from many threads."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._indexes: OrderedDict[str, dict[str, Line]] = OrderedDict()
        self._lock = threading.Lock()

    def index(self, evaluated: Evaluated) -> dict[str, Line]:
        """Every sample by its key, in order.

        Raises InputError for an artifact that has no graded samples, and DamagedError.
        """
        artifact = evaluated.artifact
        with self._lock:
            if artifact.ref.key not in self._indexes:
                self._indexes[artifact.ref.key] = self._read(artifact)
                while len(self._indexes) > _INDEXES:
                    self._indexes.popitem(last=False)
            self._indexes.move_to_end(artifact.ref.key)
            return self._indexes[artifact.ref.key]

    def sample(self, evaluated: Evaluated, line: Line) -> dict[str, Any]:
        """A sample with its texts, without its token ids; the table is read no further than its row."""
        place = line.place
        for batch in evaluated.artifact.batches(self._table, _TEXTS):
            if place < batch.num_rows:
                found: dict[str, Any] = batch.slice(place, 1).to_pylist()[0]
                return found
            place -= batch.num_rows
        raise InputError(f"sample: {evaluated.artifact.ref} has no sample {line.key!r}")

    def _read(self, artifact: Artifact) -> dict[str, Line]:
        try:
            rows = list(artifact.rows_of(self._table, _INDEX))
        except InputError as error:
            raise InputError(
                f"artifact: {artifact.ref} has no graded samples; name a report, or an evaluation of one"
            ) from error
        lines = (Line(place, *(row[name] for name in _INDEX)) for place, row in enumerate(rows))
        return {line.key: line for line in lines}


def matching(lines: Iterable[Line], other: dict[str, Line] | None, show: Show, level: str | None) -> list[Line]:
    """The lines to list, in order; `level` None is every level.

    `other` is what is looked at beside them. Two disagree where one is right and the other is not, and on no sample
    that only one of them has, or where there is no other.
    """
    return [line for line in lines if (level is None or line.level == level) and _is_shown(line, other, show)]


def counts(lines: Sequence[Line], other: dict[str, Line] | None, level: str | None) -> dict[Show, int]:
    """How many samples each filter lists."""
    return {show: len(matching(lines, other, show, level)) for show in Show}


def levels(lines: Iterable[Line]) -> list[str]:
    """The levels there are: numbers by size, then words."""
    found = {line.level for line in lines if line.level is not None}
    return sorted(found, key=lambda level: (not level.isdecimal(), int(level) if level.isdecimal() else 0, level))


def by_size(evaluations: Iterable[Evaluated]) -> list[Evaluated]:
    """The largest ratio first, then conditions without one, by name."""
    return sorted(evaluations, key=lambda one: (one.ratio is None, -(one.ratio or 0.0), one.condition))


def counterpart(run: EvaluatedRun, evaluated: Evaluated) -> Evaluated | None:
    """What is looked at beside an evaluation unless somebody chooses: another model under the same condition, else the
    first other evaluation of another model; None where the run has one model."""
    others = [one for one in run.evaluations if one.model != evaluated.model]
    same = (one for one in others if one.condition == evaluated.condition)
    return next(same, None) or next(iter(by_size(others)), None)


def why(row: Mapping[str, Any]) -> str:
    """In words, how the grader came to a sample's verdict."""
    answer, gold = row["answer"], row["gold"]
    match row["verdict"]:
        case Outcome.TRUNCATED:
            return f"Cut at {row['tokens']:,} tokens: what is cut counts as truncated, whatever it holds."
        case Outcome.UNPARSED:
            return "No answer found, neither in a box nor in a closing phrase."
        case Outcome.CORRECT:
            return f"Answer {answer}, which is the gold answer{'' if answer == gold else f', {gold}'}."
        case _:
            return f"Answer {answer}, which is not equal to the gold answer, {gold}."


def _is_shown(line: Line, other: dict[str, Line] | None, show: Show) -> bool:
    if show is Show.ALL:
        return True
    if show is Show.DISAGREE:
        beside = None if other is None else other.get(line.key)
        return beside is not None and beside.is_correct != line.is_correct
    return line.verdict == show.value
