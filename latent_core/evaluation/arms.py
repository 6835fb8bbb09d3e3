"""An arm of a comparison: one way of training, over its seeds and ratios, as arrays that measures are taken from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from latent_core.errors import InputError
from latent_core.evaluation.scores import Floats, Scores

Point = tuple[int, float]  # a training seed and a requested ratio


@dataclass(frozen=True)
class Arm:
    """One arm. The three arrays have shape (seeds, ratios, questions): means over a question's samples.

    `correct` is a share in [0, 1], the others count tokens: of the reasoning, and of all output. Ratios descend.
    Reasoning that never ends counts with its whole length. `one_sample_each` says that `correct` holds only zeros and
    ones.
    """

    name: str
    seeds: tuple[int, ...]
    ratios: tuple[float, ...]
    question_ids: tuple[str, ...]
    correct: Floats
    reasoning: Floats
    output: Floats
    one_sample_each: bool = True

    @property
    def accuracy(self) -> Floats:
        """Mean over questions, (seeds, ratios)."""
        return np.asarray(self.correct.mean(axis=-1), dtype=np.float64)

    def place(self, ratio: float) -> int:
        """Where a ratio stands in the arrays; raises InputError where the arm was not evaluated at it."""
        if ratio not in self.ratios:
            raise InputError(f"{self.name}: was not evaluated at ratio {ratio:g}")
        return self.ratios.index(ratio)


def read_arm(name: str, evaluations: Mapping[Point, Scores], question_ids: Sequence[str] | None = None) -> Arm:
    """An arm from its evaluations, one a seed and ratio, questions in the order of `question_ids` or the first's own.

    Raises InputError where a seed lacks a ratio that another seed has, or evaluations hold different questions.
    """
    seeds = tuple(sorted({seed for seed, _ in evaluations}))
    ratios = tuple(sorted({ratio for _, ratio in evaluations}, reverse=True))
    if not evaluations:
        raise InputError(f"{name}: has no evaluations")
    ids = tuple(next(iter(evaluations.values())).question_ids if question_ids is None else question_ids)
    shape = (len(seeds), len(ratios), len(ids))
    correct, reasoning, output = np.empty(shape), np.empty(shape), np.empty(shape)
    for row, seed in enumerate(seeds):
        for column, ratio in enumerate(ratios):
            if (seed, ratio) not in evaluations:
                raise InputError(f"{name}: seed {seed} was not evaluated at ratio {ratio:g}; evaluate every seed alike")
            scores = evaluations[seed, ratio]
            order = _order(f"{name}, seed {seed}, ratio {ratio:g}", scores, ids)
            correct[row, column] = scores.by_question(scores.correct)[order]
            reasoning[row, column] = scores.by_question(scores.reasoning_tokens)[order]
            output[row, column] = scores.by_question(scores.tokens)[order]
    single = all(scores.one_sample_each for scores in evaluations.values())
    return Arm(name, seeds, ratios, ids, correct, reasoning, output, single)


def _order(what: str, scores: Scores, ids: Sequence[str]) -> list[int]:
    places = {question: place for place, question in enumerate(scores.question_ids)}
    if places.keys() != set(ids):
        odd = min(places.keys() ^ set(ids))
        raise InputError(f"question_id: {what} holds other questions than the first evaluation, e.g. {odd}")
    return [places[question] for question in ids]
