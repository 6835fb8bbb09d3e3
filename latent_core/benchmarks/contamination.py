"""Questions of a test split that a training split also holds: equal once normalised, or sharing a run of 13 words.

Source of the 13-gram rule: Brown et al., "Language Models are Few-Shot Learners" (2020), appendix C. The test split is
held in memory, training is read once as a stream; runs of words are compared as text, so the counts are exact.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from latent_core.benchmarks.problem import Problem, ProblemSource
from latent_core.errors import InputError

NGRAM = 13  # words
READ_AT_ONCE = 1000  # training problems
ENDLESS_CHECKED = 10_000  # training problems read of a source that never ends
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Contamination:
    """What was found: ids of test questions in their order; `overlapping` excludes those that are `equal`."""

    tested: int
    training: int
    equal: tuple[str, ...]
    overlapping: tuple[str, ...]

    @property
    def question_ids(self) -> frozenset[str]:
        return frozenset((*self.equal, *self.overlapping))

    def line(self) -> str:
        return (
            f"contamination: of {self.tested} test questions, {len(self.equal)} are also training questions and "
            f"{len(self.overlapping)} more share {NGRAM} words in a row with one ({self.training} read)"
        )


def normalised_words(text: str) -> list[str]:
    """Words and numbers of a text in lower case: punctuation, LaTeX signs and spacing do not tell questions apart."""
    return _WORD.findall(text.casefold())


def find_contamination(test: Sequence[Problem], training: Iterable[Problem], *, ngram: int = NGRAM) -> Contamination:
    """Compare every test question with every training question. Questions of fewer than `ngram` words can only equal.

    Raises InputError if `ngram` is below 1.
    """
    if ngram < 1:
        raise InputError(f"ngram must be at least 1 word, not {ngram}")
    by_text: dict[str, list[int]] = defaultdict(list)
    by_run: dict[str, list[int]] = defaultdict(list)
    for place, problem in enumerate(test):
        words = normalised_words(problem.question)
        by_text[" ".join(words)].append(place)
        for run in set(_runs(words, ngram)):
            by_run[run].append(place)
    equal: set[int] = set()
    overlapping: set[int] = set()
    read = 0
    for problem in training:
        read += 1
        words = normalised_words(problem.question)
        equal.update(by_text.get(" ".join(words), ()))
        for run in _runs(words, ngram):
            overlapping.update(by_run.get(run, ()))
    ids = [problem.question_id for problem in test]
    return Contamination(
        tested=len(test),
        training=read,
        equal=tuple(ids[place] for place in sorted(equal)),
        overlapping=tuple(ids[place] for place in sorted(overlapping - equal)),
    )


def training_stream(source: ProblemSource, count: int | None = None) -> Iterator[Problem]:
    """The first `count` problems of a training split, a block at a time; without `count` all of them, or the first
    10,000 of one that never ends."""
    if count is None:
        count = ENDLESS_CHECKED if source.count is None else source.count
    for start in range(0, count, READ_AT_ONCE):
        yield from source.problems(start, min(start + READ_AT_ONCE, count))


def without_contaminated(test: ProblemSource, training: ProblemSource) -> ProblemSource:
    """The test split less what `find_contamination` finds in training; its identity names both splits.

    Raises InputError for an endless test split, or where nothing is left.
    """
    if test.count is None:
        raise InputError(f"benchmark.drop_contaminated: {test.name} has no end; set it to false")
    problems = test.problems(0, test.count)
    found = find_contamination(problems, training_stream(training)).question_ids
    kept = [problem for problem in problems if problem.question_id not in found]
    if not kept:
        raise InputError(f"benchmark.drop_contaminated: every test question of {test.name} is in its training split")
    content = f"{test.content}/without/{training.content}"
    return ProblemSource(test.name, test.split, content, len(kept), lambda start, stop: kept[start:stop])


def _runs(words: Sequence[str], length: int) -> Iterator[str]:
    return (" ".join(words[start : start + length]) for start in range(len(words) - length + 1))
