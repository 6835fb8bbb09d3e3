r"""Answers of several numbers with their words: "2 hours 30 minutes" is one measure, "8 chickens and 11 rabbits" two.

Numbers of one dimension whose units grow smaller (5 ft 6 in, $30^\circ 30'$) add up. All others are a list, in which
the words say what each number counts, so that "8 rabbits and 11 chickens" is another answer.
"""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from latent_core.scoring.normalization import SWISS_GROUPS, is_unit
from latent_core.scoring.notation import TEXT_NAMES
from latent_core.scoring.units import unit_of

_NUMBER = r"\d{1,3}(?:[ ,]\d{3})+(?:\.\d+)?(?![\d/])|\d+\s+\d+/0*[1-9]\d*|\d+(?:\.\d+)?(?:/0*[1-9]\d*)?|\.\d+"
_PART = re.compile(rf"(?P<money>\$)?(?P<number>{_NUMBER})(?P<words>[^\d$.]*(?:\.(?!\d)[^\d$.]*)*)")
_MACRO = re.compile(rf"\\(?:{TEXT_NAMES}|q?quad(?![A-Za-z]))")
_FRACTION = re.compile(r"\s?\\[dt]?frac\{(\d+)\}\{(\d+)\}")
_CLOCKED = re.compile(r"^(\d+)\s?h\s?(\d+)\s?m(?:in)?(?=$|\s|\d)")  # 2h30m
_SEPARATOR = re.compile(r"^\s*(?:and\b|,|;|&)?\s*|\s*(?:,|;|&)?\s*(?:\band\b)?\s*$")
_WORDS = re.compile(r"(?:[^\W\d_]|[ .-])+")
_OF_A_DEGREE = {
    name: Fraction(1, size)
    for size, names in ((60, ("'", "minute", "minutes")), (3600, ("''", '"', "second", "seconds")))
    for name in names
}
_OF_A_FOOT = {"''": Fraction(1, 12), '"': Fraction(1, 12)}


class Part(NamedTuple):
    """One number and its words, folded; no words where it stands alone."""

    value: Fraction
    words: str


class Total(NamedTuple):
    """What the parts of one measure come to, in the base unit, and the sizes of the units that were used."""

    dimension: tuple[tuple[str, int], ...]
    value: Fraction
    scales: tuple[Fraction, ...]


def same_compound(answer: str, gold: str) -> bool | None:
    """Whether two answers agree of which one has several numbers with words; None where none has."""
    ours, theirs = parts(answer), parts(gold)
    if (
        ours is None
        or theirs is None
        or not any(len(side) > 1 and any(part.words for part in side) for side in (ours, theirs))
    ):
        return None
    totals = _total(ours), _total(theirs)
    for total, other, other_total in ((totals[0], theirs, totals[1]), (totals[1], ours, totals[0])):
        if total is None or (len(other) > 1 and other_total is None):
            continue
        if other_total is not None:
            return total.dimension == other_total.dimension and total.value == other_total.value
        if len(other) == 1 and not other[0].words:  # a bare number is in one of the units, which the question fixed
            return any(other[0].value * scale == total.value for scale in total.scales)
    return _same_list(ours, theirs)


def _same_list(ours: list[Part], theirs: list[Part]) -> bool:
    if len(ours) != len(theirs):
        return False
    labels = [[part.words for part in side] for side in (ours, theirs)]
    if all(map(all, labels)):
        if Counter(labels[0]) == Counter(labels[1]):
            return Counter(ours) == Counter(theirs)
        return [_in_base(part) for part in ours] == [_in_base(part) for part in theirs]
    values = [[part.value for part in side] for side in (ours, theirs)]
    return values[0] == values[1] if any(labels[1]) else sorted(values[0]) == sorted(values[1])


def _in_base(part: Part) -> tuple[object, Fraction]:
    unit = unit_of(part.words)
    return (None, part.value) if unit is None else (unit[0], part.value * unit[1])


def _total(side: list[Part]) -> Total | None:
    """The sum of parts whose units are of one dimension and grow smaller; None for anything else."""
    first = unit_of("foot") if side[0].words == "'" and len(side) > 1 else unit_of(side[0].words)
    if first is None:
        return None
    smaller = _OF_A_DEGREE if first == unit_of("degree") else _OF_A_FOOT if side[0].words == "'" else {}
    units = [first]
    for part in side[1:]:
        unit = (first[0], first[1] * smaller[part.words]) if part.words in smaller else unit_of(part.words)
        if unit is None:
            return None
        units.append(unit)
    scales = tuple(scale for _, scale in units)
    if len({dimension for dimension, _ in units}) != 1 or any(later >= earlier for earlier, later in pairwise(scales)):
        return None
    value = sum((part.value * scale for part, scale in zip(side, scales, strict=True)), Fraction(0))
    return Total(units[0][0], value, scales)


def parts(text: str) -> list[Part] | None:
    """The numbers of an answer with the words behind each; None where anything else is in it."""
    text = SWISS_GROUPS.sub(lambda match: match.group().replace("'", ""), text.strip().strip("$").strip())
    if text[:1] == "(" and text[-1:] == ")":
        text = text[1:-1]
    text = _CLOCKED.sub(r"\1 h \2 min", text)
    text = re.sub(r"\s?\^\s?\{?\s?\\circ\s?\}?|\\degree(?![A-Za-z])", "\u00b0", text)
    text = re.sub(r"\s?\^\s?\{?\s?\\prime\s?\}?", "'", text).replace("\\$", "$").replace("\\%", "%").replace("{,}", ",")
    text = re.sub(r"\s?\\!\s?", "", text)  # `32,\!348` is one number
    text = _FRACTION.sub(r" \1/\2", text)
    text = _MACRO.sub(" ", re.sub(r"\\[,;:! ]|~|\\&", " ", text)).replace("{", " ").replace("}", " ").strip()
    text = re.sub(r"\s+", " ", text)  # the separators take cubic time on a run of spaces
    found, position = list[Part](), 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            return None
        words = _SEPARATOR.sub("", match["words"]).strip(" .").casefold()
        if words and not (_is_mark(words) or _counts(words, match["words"])):
            return None
        if match["money"]:
            words = words or "dollar"
        found.append(Part(_value(match["number"]), _singular(words)))
        position = match.end()
    return found or None


def _is_mark(words: str) -> bool:
    return words in ("\u00b0", "'", "''", '"')


def _counts(words: str, written: str) -> bool:
    """Whether words say what a number counts: "2x" is a product."""
    apart = not written[0].isalpha() or not written[0].isascii() or (len(words) > 1 and unit_of(words) is not None)
    return apart and _WORDS.fullmatch(words) is not None and is_unit(words)


def _value(number: str) -> Fraction:
    if mixed := re.fullmatch(r"(\d+)\s+(\d+/\d+)", number):
        return Fraction(int(mixed[1])) + _value(mixed[2])
    numerator, _, denominator = number.replace(",", "").replace(" ", "").partition("/")
    return Fraction(numerator) / Fraction(denominator or 1)


def _singular(words: str) -> str:
    words = re.sub(r"\s+", " ", words)
    return words[:-1] if len(words) > 3 and words.endswith("s") and unit_of(words) is None else words
