"""Words as spans of the source text: numbers, LaTeX commands, case and newlines stay what they were.

LLMLingua-2 rebuilds text from encoder tokens, which splits "99.3", lower-cases for some encoders and loses newlines.
Here the units are cut from the source itself, and what is kept of them is copied from it.

No unit ends inside what a reader sees as one character (`clusters`), and what a script writes without spaces is cut
into words by ICU's dictionaries.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import regex
from numpy.typing import NDArray

from latent_core.compress.clusters import cut, is_plain, is_unspaced, last_base

NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|\d+(?:\.\d+)?|(?<![\w.])\.\d+"
LATEX_COMMAND = r"\\(?:[A-Za-z]+|.)"
# In this order: a command, a number, a word with its inner apostrophe, any other visible character.
UNIT = rf"{LATEX_COMMAND}|{NUMBER}|[^\W\d_]+(?:['’][^\W\d_]+)*|\S"

_UNIT = re.compile(UNIT)
_MARK = regex.compile(r"\p{M}")
_SPACE = re.compile(r"\s+")
_NUMBER = re.compile(NUMBER)
_COMMAND = re.compile(LATEX_COMMAND)
_OPERATORS = frozenset("+-*/=^<>×÷·−±≤≥≠≈%")
_LATEX_OPERATORS = frozenset(
    r"\times \div \cdot \pm \mp \le \leq \ge \geq \ne \neq \approx \equiv \ll \gg \lt \gt".split()
)
_LATEX_STRUCTURE = frozenset("{}_^$&")  # without these a command that is kept no longer parses


def split_units(text: str) -> NDArray[np.int64]:
    """[start, end) of every unit of `text`, shape (units, 2); whitespace belongs to none."""
    return np.asarray(cut(text, _UNIT), dtype=np.int64).reshape(-1, 2)


@dataclass(frozen=True)
class SpacedText:
    """A text with a space put in before each of `cuts`, places in the source in rising order."""

    source: str
    cuts: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """The text with its additional spaces."""
        edges = pairwise([0, *self.cuts, len(self.source)])
        return " ".join(self.source[start:end] for start, end in edges) if self.cuts else self.source

    def places(self, offsets: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
        """Offsets in `text`, [start, end) of each token, as places in the source; shape (tokens, 2)."""
        places = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
        spaces = np.asarray(self.cuts, dtype=np.int64) + np.arange(len(self.cuts))
        return places - np.searchsorted(spaces, places) if self.cuts else places


def spaced_out(text: str, units: NDArray[np.int64]) -> SpacedText:
    """The text with spaces between the units that a script without spaces puts side by side."""
    if is_plain(text):
        return SpacedText(text)
    cuts = []
    for (start, end), (place, _) in pairwise(units.tolist()):
        if end == place and (is_unspaced(last_base(text[start:end])) or is_unspaced(text[place])):
            cuts.append(place)
    return SpacedText(text, tuple(cuts))


class UnitScores(NamedTuple):
    """Per unit: mean over the tokens that overlap it (float32; 0 where none does) and the first such token's index."""

    mean: NDArray[np.float32]
    first_token: NDArray[np.int64]


def average_over_units(units: NDArray[np.int64], tokens: NDArray[np.int64], values: NDArray[np.float32]) -> UnitScores:
    """Average token `values` (shape (tokens,)) over the units; both span arrays are (n, 2), sorted by position."""
    first = np.searchsorted(tokens[:, 1], units[:, 0], side="right")
    stop = np.searchsorted(tokens[:, 0], units[:, 1], side="left")
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    count = np.maximum(stop - first, 0)
    sums = total[np.maximum(stop, first)] - total[first]
    return UnitScores((sums / np.maximum(count, 1)).astype(np.float32), first.astype(np.int64))


def is_number(unit: str) -> bool:
    """Whether the unit is a whole number or decimal, thousands separators included."""
    return _NUMBER.fullmatch(_without_marks(unit)) is not None


def _without_marks(unit: str) -> str:
    """A digit in a keycap is a digit, and an equals sign that is struck through is a sign."""
    return unit if unit.isascii() else _MARK.sub("", unit)


def is_operator(unit: str) -> bool:
    """Whether the unit is an arithmetic sign or relation, plain or as a LaTeX command."""
    return unit in _LATEX_OPERATORS or _without_marks(unit) in _OPERATORS


def is_latex(unit: str) -> bool:
    """Whether the unit is a LaTeX command or one of the characters that commands need to parse."""
    return unit in _LATEX_STRUCTURE or _COMMAND.fullmatch(unit) is not None


def overlaps(spans: NDArray[np.int64], start: int, end: int) -> NDArray[np.bool_]:
    """Which spans share a character with [start, end), shape (spans,)."""
    return np.asarray((spans[:, 0] < end) & (spans[:, 1] > start))


def join_spans(text: str, spans: Sequence[tuple[int, int]], kept: Sequence[int]) -> str:
    """Copy the kept spans of `text`, in order.

    Neighbours keep the whitespace between them. Where something was dropped, the widest line break of the gap remains,
    else one space if the gap had whitespace or if the two sides would otherwise read as one word, number or command;
    words of a script without spaces need none.
    """
    pieces: list[str] = []
    for position, index in enumerate(kept):
        start, end = spans[index]
        if position:
            previous = kept[position - 1]
            gap = text[spans[previous][1] : start]
            pieces.append(gap if index == previous + 1 else _shortened(gap, last_base(pieces[-1]), text[start]))
        pieces.append(text[start:end])
    return "".join(pieces)


def _shortened(gap: str, left: str, right: str) -> str:
    if "\n" in gap:
        line_breaks: int = max(run.count("\n") for run in _SPACE.findall(gap))
        return "\n" * min(line_breaks, 2)
    if " " in gap or _SPACE.search(gap):  # the first is what most gaps have, and costs a tenth
        return " "
    glues = right.isalnum() and (left.isalnum() or left in ".,\\")
    return " " if glues and not is_unspaced(left) and not is_unspaced(right) else ""
