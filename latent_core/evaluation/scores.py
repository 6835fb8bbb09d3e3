"""The numbers of an evaluation's rows, kept as arrays: what summaries and paired comparisons are computed from."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from latent_core.errors import InputError
from latent_core.evaluation.logprob import COLUMN
from latent_core.scoring.grading import Outcome

COUNTS = ("tokens", "reasoning_tokens", "latent_tokens")
COLUMNS = ("question_id", "sample_index", "level", "verdict", *COUNTS)
OUTCOMES = tuple(Outcome)

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """One evaluation in numbers: the question arrays have shape (questions,), the others (samples,).

    `question` holds each sample's place in `question_ids`, `outcome` its place in `OUTCOMES`. `answers` are the
    samples' answers as written, None for one without, and None altogether where the rows do not hold them.
    """

    question_ids: tuple[str, ...]
    levels: tuple[str | None, ...]
    question: Integers
    outcome: Integers
    tokens: Integers
    reasoning_tokens: Integers
    latent_tokens: Integers
    answers: tuple[str | None, ...] | None = None
    logprobs: Floats | None = None  # of the gold, NaN for a malformed sample; None where it was not measured

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.outcome == OUTCOMES.index(Outcome.CORRECT), dtype=np.bool_)

    @property
    def one_sample_each(self) -> bool:
        return len(self.question) == len(self.question_ids)

    def by_question(self, values: npt.NDArray[Any]) -> Floats:
        """Mean over each question's samples of one value a sample: (samples,) → (questions,)."""
        size = len(self.question_ids)
        sums = np.bincount(self.question, weights=values.astype(np.float64), minlength=size)
        return np.asarray(sums / np.bincount(self.question, minlength=size), dtype=np.float64)


def read_scores(rows: Iterable[Mapping[str, Any]]) -> Scores:
    """Read the rows of an evaluation once; numbers, question ids, levels and answers stay in memory (250 B a sample).

    Raises InputError for no rows, a missing column, an unknown verdict, a negative count, a question with two levels
    or a sample that occurs twice.
    """
    places: dict[str, int] = {}
    levels: list[str | None] = []
    seen: set[tuple[int, int]] = set()
    numbers = array("q")
    answers: list[str | None] = []
    logprobs: list[float] = []
    for number, row in enumerate(rows):
        missing = [name for name in COLUMNS if name not in row]
        if missing:
            raise InputError(f"evaluation row {number} has no {', '.join(missing)}; evaluate again with this release")
        name, level = str(row["question_id"]), row["level"]
        place = places.setdefault(name, len(places))
        if place == len(levels):
            levels.append(level)
        elif levels[place] != level:
            raise InputError(f"level of question {name} is both {levels[place]!r} and {level!r}; a question has one")
        sample = (place, int(row["sample_index"]))
        if sample in seen:
            raise InputError(f"sample_index {sample[1]} of question {name} occurs twice; pass each sample once")
        seen.add(sample)
        if row["verdict"] not in OUTCOMES:
            raise InputError(f"verdict {row['verdict']!r} of question {name} is not one of {', '.join(OUTCOMES)}")
        counts = [int(row[column]) for column in COUNTS]
        if min(counts) < 0:
            raise InputError(f"{COUNTS[counts.index(min(counts))]} of question {name} is negative")
        if "answer" in row:
            answers.append(row["answer"])
        if COLUMN in row:
            logprobs.append(math.nan if row[COLUMN] is None else float(row[COLUMN]))
        numbers.extend((place, OUTCOMES.index(row["verdict"]), *counts))
    if not numbers:
        raise InputError("the evaluation has no rows; nothing can be summarised, so check the benchmark's limit")
    columns = np.array(numbers, dtype=np.int64).reshape(-1, 2 + len(COUNTS)).T.copy()
    question, outcome, tokens, reasoning, latent = columns
    kept = tuple(answers) if len(answers) == len(question) else None
    measured = np.array(logprobs, dtype=np.float64) if len(logprobs) == len(question) else None
    return Scores(tuple(places), tuple(levels), question, outcome, tokens, reasoning, latent, kept, measured)
