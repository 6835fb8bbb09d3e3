"""Groups of a scored text: what belongs together is kept or dropped together, whoever scored it.

A group is a number, a mathematical expression (`math_runs`), a LaTeX command with its arguments, or any other unit of
`spans`. LLMLingua-2 and Selective-Context choose token by token, which at small ratios leaves halves of equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from latent_core.compress.math_runs import INFIX, OPERANDS, Role, Units
from latent_core.compress.scored import ScoredChunk, ScoredText
from latent_core.compress.spans import average_over_units, split_units
from latent_core.errors import InputError

_LEAST = 2.0**-25  # what float32 keeps of a probability next to 1


class GroupKind(StrEnum):
    """What a group is."""

    EQUATION = "equation"  # operands and signs between them
    NUMBER = "number"  # with what is written on to it: $5, 20%, 5km, -3
    LATEX = "latex"  # a command with its arguments
    WORD = "word"  # or a punctuation mark


class GroupScore(StrEnum):
    """How a group's score follows from those of its units.

    Where a keep-probability only squashes an unbounded score, the mean is of the scores, and squashed in turn: means of
    squashed scores have another order.
    """

    MEAN = "mean"
    MEAN_ODDS = "mean odds"  # of p / (1 - p): the bits of `surprisal_baseline`
    MEAN_LOG_ODDS = "mean log odds"  # of log p / (1 - p): the nats of `cts`
    FIRST = "first"  # for scores drawn at random: the mean of many draws is never high nor low, that of one can be


class Group(NamedTuple):
    """Units `first` to `stop` - 1 of a text."""

    first: int
    stop: int
    kind: GroupKind


@dataclass(frozen=True, eq=False)
class GroupedText(ScoredText):
    """A scored text whose words are its groups, all in one chunk, with the units that they are made of.

    `units` are [start, end) characters, shape (units, 2); group g holds units `bounds[g]` to `bounds[g + 1]` - 1,
    `bounds` has shape (groups + 1,).
    """

    units: NDArray[np.int64]
    bounds: NDArray[np.int64]

    def any_unit(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which groups have a unit that `mask`, shape (units,), names; shape (groups,)."""
        counts = np.concatenate([[0], np.cumsum(mask)])
        return np.asarray(counts[self.bounds[1:]] > counts[self.bounds[:-1]])


def split_groups(text: str, units: NDArray[np.int64] | None = None) -> list[Group]:
    """The groups of a text, in order; they cover its units (`spans.split_units`), shape (units, 2), once each."""
    spans = (split_units(text) if units is None else units).tolist()
    words = [text[start:end] for start, end in spans]
    gaps = [text[end:start] for (_, end), (start, _) in pairwise(spans)]
    found = Units(words, gaps)
    return [Group(first, stop, _kind(found.roles[first:stop])) for first, stop in found.runs()]


def grouped(scored: ScoredText, score: GroupScore = GroupScore.MEAN) -> GroupedText:
    """The text with its groups for words: their scores, and the sum of their units' lengths.

    A unit's score is the mean of the words that it overlaps, one word for every scorer here. Where a word holds several
    units (the baselines' "47." has two) each has an equal share of its length, rounded up. Raises InputError for
    scores that are not of source spans.
    """
    spans = [chunk.spans for chunk in scored.chunks if chunk.spans is not None]
    if scored.family is not None:
        raise InputError("spans: unit=span needs words that are spans of the source text; score with spans=True")
    units = split_units(scored.text)
    if not len(units):
        return GroupedText(scored.text, (), None, units, np.zeros(1, dtype=np.int64))
    words = np.concatenate(spans)
    values = np.concatenate([chunk.keep_probability for chunk in scored.chunks])
    of_unit = average_over_units(units, words, _unsquashed(values, score))
    lengths = _lengths_of_units(of_unit.first_token, np.concatenate([chunk.lengths for chunk in scored.chunks]))
    groups = split_groups(scored.text, units)
    bounds = np.asarray([*(group.first for group in groups), len(units)], dtype=np.int64)
    if score is GroupScore.FIRST:
        scores = of_unit.mean[bounds[:-1]]
    else:
        means = np.add.reduceat(of_unit.mean.astype(np.float64), bounds[:-1]) / np.diff(bounds)
        scores = _squashed(means, score).astype(np.float32)
    places = np.column_stack([units[bounds[:-1], 0], units[bounds[1:] - 1, 1]])
    names = tuple(scored.text[start:end] for start, end in places.tolist())
    chunk = ScoredChunk(names, scores, np.add.reduceat(lengths, bounds[:-1]), False, places)
    return GroupedText(scored.text, (chunk,), None, units, bounds)


def _unsquashed(values: NDArray[np.float32], score: GroupScore) -> NDArray[np.floating]:
    if score not in (GroupScore.MEAN_ODDS, GroupScore.MEAN_LOG_ODDS):
        return values
    inside = np.clip(values.astype(np.float64), _LEAST, 1 - _LEAST)
    odds = inside / (1 - inside)
    return odds if score is GroupScore.MEAN_ODDS else np.log(odds)


def _squashed(values: NDArray[np.float64], score: GroupScore) -> NDArray[np.float64]:
    if score is GroupScore.MEAN_ODDS:
        return values / (1 + values)
    return 1 / (1 + np.exp(-values)) if score is GroupScore.MEAN_LOG_ODDS else values


def _lengths_of_units(word_of_unit: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    parts = np.bincount(word_of_unit, minlength=len(lengths))
    return np.asarray(-(-lengths[word_of_unit] // parts[word_of_unit]))


def _kind(roles: Sequence[Role]) -> GroupKind:
    operands = sum(role in OPERANDS for role in roles)
    signs = [place for place, role in enumerate(roles) if role in INFIX]
    if operands and signs and (signs[-1] > 0 or roles[0] is Role.RELATION):
        return GroupKind.EQUATION
    if Role.LATEX in roles and not (len(roles) == 2 and Role.NUMBER in roles):
        return GroupKind.LATEX
    return GroupKind.NUMBER if Role.NUMBER in roles else GroupKind.WORD
