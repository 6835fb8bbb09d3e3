"""Does a compressed chain of thought still contain the answer's value?"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from latent_core.compress.spans import NUMBER
from latent_core.errors import InputError

_VALUE = re.compile(rf"(?P<sign>[-−]\s?)?(?P<number>{NUMBER})")
_NUMBER = re.compile(NUMBER)
_RUN = re.compile(r"\d[\d.,]*")  # every number lies within one of these, or has a point before it
_SIGN_BEFORE = re.compile(r"[-−]\s?$")
_UNITS = str.maketrans("", "", "$%")
_FRACTION = re.compile(r"\\[dt]frac")
_SPACE = re.compile(r"\s+")


def answer_span(text: str, gold: str) -> tuple[int, int] | None:
    """[start, end) of the last place in `text` where `gold` stands, or None.

    A number is found by value ("70,000" is 70000, "5.0" is 5; a negative one needs its minus sign), anything else by
    its characters, whitespace aside and with \\dfrac and \\tfrac read as \\frac. Raises InputError for an empty `gold`.
    """
    wanted = _wanted(gold)
    if wanted is None:
        return _literal_span(text, gold)
    # From the end, and a closer look only at what has the right digits: a third of the time of reading every number.
    for run in reversed(list(_RUN.finditer(text))):
        digits = run.group()
        if wanted.digits in digits.replace(",", "").replace(".", "") or not digits.isascii():
            start, end = run.span()
            start -= start > 0 and text[start - 1] == "."  # ".5"
            for match in reversed(list(_NUMBER.finditer(text, start, end))):
                if (span := _span_of_value(text, match, wanted)) is not None:
                    return span
    return None


class _Wanted(NamedTuple):
    """A number to look for; `digits` are those that every way of writing it has, leading and trailing zeros aside."""

    value: Decimal
    negative: bool
    digits: str


@lru_cache(maxsize=4096)  # the samples of a question, at every ratio, have one gold answer
def _wanted(gold: str) -> _Wanted | None:
    """The number that `gold` is, None if it is something else; raises InputError where it is empty."""
    if not gold.strip():
        raise InputError("gold: must not be empty; leave rows without an answer out")
    found = _VALUE.fullmatch(gold.replace("\\", "").translate(_UNITS).strip())
    if found is None:
        return None
    value = _decimal(found["number"])
    digits = "".join(map(str, value.as_tuple().digits)).strip("0")
    return _Wanted(value, found["sign"] is not None and value != 0, digits)


def _span_of_value(text: str, match: re.Match[str], wanted: _Wanted) -> tuple[int, int] | None:
    """[start, end) of a number of the wanted value, with its minus sign where one is wanted; else None."""
    start, end = match.span()
    if _decimal(match.group()) != wanted.value:
        return None
    if not wanted.negative:
        return start, end
    sign = _SIGN_BEFORE.search(text, max(0, start - 2), start)
    return None if sign is None else (sign.start(), end)


def answer_retained(compressed_text: str, gold: str) -> bool:
    """Whether the value of the answer `gold` survives in `compressed_text`; see `answer_span` for what counts."""
    return answer_span(compressed_text, gold) is not None


@lru_cache(maxsize=65_536)
def _decimal(number: str) -> Decimal:
    return Decimal(number.replace(",", ""))


def _literal_span(text: str, gold: str) -> tuple[int, int] | None:
    pattern = r"\s*".join(
        re.escape(character) for character in _SPACE.sub("", _FRACTION.sub(lambda _: "\\frac", gold))
    ).replace(r"\\\s*f\s*r\s*a\s*c", r"\\\s*[dt]?\s*f\s*r\s*a\s*c")
    if gold.strip()[0].isalnum():
        pattern = rf"(?<![^\W_]){pattern}"
    if gold.strip()[-1].isalnum():
        pattern = rf"{pattern}(?![^\W_])"
    last = None
    for match in re.finditer(pattern, text):
        last = match.span()
    return last
