r"""What brackets say of an answer: `\{1,2\}` is a set, `(1,2)` a pair or an interval, `x<1 or x>2` two intervals.

math-verify compares a set with a pair by their members, and reads only single inequalities as intervals.
"""

from __future__ import annotations

import re
from collections import Counter
from enum import StrEnum

_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_MEMBERSHIP = re.compile(r"^[A-Za-z]\s*\\in(?![A-Za-z])\s*")
_OR = re.compile(
    r"\s*,?\s*(?:\\(?:text|mbox|textrm|mathrm)\s*\{\s*or\s*\}|\\(?:lor|vee)(?![A-Za-z])|(?<![A-Za-z\\])or(?![A-Za-z]))\s*"
)
_BOUND = r"(-?(?:\d[\d.]*|\\infty|\\pi|\\frac\{\d+\}\{\d+\}|\d+/\d+|\\sqrt\{\d+\}))"
_PLAIN_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_OPEN_ENDED = re.compile(
    r"(?<![A-Za-z])(?:or|and)\s+(?:more|less|fewer|greater|smaller|higher|lower|above|below|up|over|under)\b"
)
_OPERATION = re.compile(r"[A-Za-z][\w{}^]*\s*[-+*/]|[-+*/]\s*\d*\s*[A-Za-z]|\d\s*[A-Za-z]|[A-Za-z]\s*\^")
_SIGN = r"(<=|>=|<|>|\\leqslant|\\geqslant|\\leq?|\\geq?|\\lt|\\gt)"
_ONE_SIDED = re.compile(rf"^\$?\s*([A-Za-z])\s*{_SIGN}\s*{_BOUND}\s*\$?$")
_TWO_SIDED = re.compile(rf"^\$?\s*{_BOUND}\s*{_SIGN}\s*([A-Za-z])\s*{_SIGN}\s*{_BOUND}\s*\$?$")


class Enclosure(StrEnum):
    """What the brackets around a whole answer with several members make of it."""

    SET = "set"
    ORDERED = "ordered"  # a tuple or an interval


def enclosure(cleaned: str) -> Enclosure | None:
    r"""The kind of a cleaned answer that one pair of brackets encloses; None without brackets or with one member.

    `\{(1,2)\}` holds one member, and says no more than `(1,2)`.
    """
    text = _MEMBERSHIP.sub("", cleaned.strip())
    if text.startswith("\\{") and text.endswith("\\}"):
        return Enclosure.SET if _is_enclosed_list(text[2:-2]) else None
    if text[:1] in ("(", "[") and text[-1:] in (")", "]"):
        return Enclosure.ORDERED if _is_enclosed_list(text[1:-1]) else None
    return None


def without_set_of_one(cleaned: str) -> str:
    r"""`(1,2)` for a cleaned `\{(1,2)\}`: a set of solutions with one pair in it says what the pair says."""
    inside = cleaned[2:-2].strip() if cleaned.startswith("\\{") and cleaned.endswith("\\}") else ""
    return inside if enclosure(inside) is Enclosure.ORDERED else cleaned


def _is_enclosed_list(inside: str) -> bool:
    """Whether the brackets around `inside` belong together, and a comma of their own is in it."""
    depth, commas = 0, 0
    for character in inside:
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
            if depth < 0:
                return False
        elif character == "," and depth == 0:
            commas += 1
    return depth == 0 and commas > 0


def repeats_differ(cleaned: str, other: str) -> bool:
    """Whether two lists without brackets name a member unequally often: math-verify reads both as sets."""
    counts = []
    for text in (cleaned, other):
        if enclosure(text) is not None or not _is_enclosed_list(text):
            counts.append(Counter([text.replace(" ", "")]))
        else:
            counts.append(Counter(_members(text.replace(" ", ""))))
    if max(counts[0].values()) == 1 == max(counts[1].values()):
        return False
    return sorted(counts[0].values()) != sorted(counts[1].values()) or (
        all(_PLAIN_NUMBER.fullmatch(member) for member in counts[0] + counts[1]) and counts[0] != counts[1]
    )


def _members(text: str) -> list[str]:
    """What the commas outside of all brackets separate."""
    depth, members = 0, [""]
    for character in text:
        depth += (character in _OPENING) - (character in _CLOSING)
        if character == "," and depth == 0:
            members.append("")
        else:
            members[-1] += character
    return members


def ascending(text: str) -> str:
    r"""`5 < x < 7` for `7 > x > 5`; any other text as it is."""
    match = _TWO_SIDED.match(text)
    if match is None or not all(">" in sign or "g" in sign for sign in match.group(2, 4)):
        return text
    low, first, name, second, high = match.groups()
    turned = ["<" if sign in (">", "\\gt") else r"\le" for sign in (second, first)]
    return f"{high} {turned[0]} {name} {turned[1]} {low}"


def is_bound(text: str) -> bool:
    """Whether an answer is open on one side in words: "5 or more"."""
    return _OPEN_ENDED.search(text) is not None


def is_relation(cleaned: str) -> bool:
    """Whether an answer is an equation between variables, such as `2x+y=3`, and no value with its name (`x=3`)."""
    left, equals, _ = cleaned.partition("=")
    return bool(equals) and left[-1:] not in ("<", ">", "!") and _OPERATION.search(left) is not None


def united(text: str) -> str:
    r"""Inequalities joined by "or" as a union of intervals (`x<1 or x>2` → `(-\infty,1) \cup (2,\infty)`).

    Any other text comes back as it is. "And" is left alone: joined so, they narrow each other.
    """
    parts = _OR.split(text)
    if len(parts) < 2:
        return ascending(text)
    intervals, names = [], set()
    for part in parts:
        found = _interval(part.strip().replace("\\ ", " "))
        if found is None:
            return text
        names.add(found[0])
        intervals.append(found[1])
    return r" \cup ".join(intervals) if len(names) == 1 else text


def _interval(inequality: str) -> tuple[str, str] | None:
    """(variable, interval) of `x < 3` or `1 <= x < 3`; None for anything else."""
    if match := _ONE_SIDED.match(inequality):
        name, sign, bound = match.groups()
        closed = "=" in sign or "e" in sign
        if ">" in sign or "g" in sign:
            return name, f"{'[' if closed else '('}{bound}, \\infty)"
        return name, f"(-\\infty, {bound}{']' if closed else ')'}"
    if match := _TWO_SIDED.match(inequality):
        low, first, name, second, high = match.groups()
        if any(">" in sign or "g" in sign for sign in (first, second)):
            return None
        opening, closing = (
            ("[" if "e" in first or "=" in first else "("),
            ("]" if "e" in second or "=" in second else ")"),
        )
        return name, f"{opening}{low}, {high}{closing}"
    return None
