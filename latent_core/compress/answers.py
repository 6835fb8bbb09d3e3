"""Does a compressed chain of thought still contain the answer's value?"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from latent_core.compress.spans import NUMBER
from latent_core.errors import InputError

_VALUE = re.compile(rf"(?P<sign>[-−]\s?)?(?P<number>{NUMBER})")
_NUMBER = re.compile(NUMBER)
_SIGN_BEFORE = re.compile(r"[-−]\s?$")
_UNITS = str.maketrans("", "", "$%")
_FRACTION = re.compile(r"\\[dt]frac")
_SPACE = re.compile(r"\s+")


def answer_span(text: str, gold: str) -> tuple[int, int] | None:
    """[start, end) of the last place in `text` where `gold` stands, or None.

    A number is found by value ("70,000" is 70000, "5.0" is 5; a negative one needs its minus sign), anything else by
    its characters, whitespace aside and with \\dfrac and \\tfrac read as \\frac. Raises InputError for an empty `gold`.
    """
    if not gold.strip():
        raise InputError("gold: must not be empty; leave rows without an answer out")
    wanted = _VALUE.fullmatch(gold.replace("\\", "").translate(_UNITS).strip())
    if wanted is None:
        return _literal_span(text, gold)
    value = _decimal(wanted["number"])
    negative = wanted["sign"] is not None and value != 0
    found = None
    # Numbers alone are looked for, and the sign before one of the right value: half the time of a pattern for both.
    for match in _NUMBER.finditer(text):
        if _decimal(match.group()) != value:
            continue
        start, end = match.span()
        sign = _SIGN_BEFORE.search(text, max(0, start - 2), start) if negative else None
        if sign is not None or not negative:
            found = (sign.start() if sign is not None else start, end)
    return found


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
