"""What a compression kept of a text's numbers and equations, read off the two texts.

A text does not say which of two equal numbers stayed. Numbers are therefore counted by value as written, and equations
are broken as seldom as the two texts allow: the count is a lower bound, and exact where no unit occurs twice.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from latent_core.compress.groups import GroupKind, split_groups
from latent_core.compress.spans import is_number, split_units

_UNEXPLAINED = 1_000  # for a unit of the compression that the text lacks: more than a text has equations


class Retention(NamedTuple):
    """Numbers and equations of a text; how many numbers were kept, how many equations only in part."""

    numbers: int
    numbers_kept: int
    equations: int
    equations_broken: int


def retention(text: str, compressed: str) -> Retention:
    """Compare a compression with its text. Case plays no part, since some encoders lose it."""
    units = split_units(text)
    words = [text[start:end].casefold() for start, end in units.tolist()]
    left = [compressed[start:end].casefold() for start, end in split_units(compressed).tolist()]
    numbers = Counter(word for word in words if is_number(word))
    kept = numbers & Counter(word for word in left if is_number(word))
    groups = split_groups(text, units)
    pieces = [words[group.first : group.stop] for group in groups]
    equations = [group.kind is GroupKind.EQUATION for group in groups]
    return Retention(numbers.total(), kept.total(), sum(equations), _fewest_broken(pieces, equations, left))


def _fewest_broken(pieces: list[list[str]], equations: list[bool], left: list[str]) -> int:
    """The least number of equations kept in part with which `left` is a subsequence of the pieces, one after another.

    Dynamic programming over the pieces: `cost[j]` is the least number for the first j of `left`.
    """
    size = len(left)
    unreachable = _UNEXPLAINED * (size + 1)
    cost = [_UNEXPLAINED * place for place in range(size + 1)]
    for piece, is_equation in zip(pieces, equations, strict=True):
        after = cost.copy()
        for place in range(size):
            if cost[place] >= unreachable or left[place] not in piece:
                continue
            matched = 0
            for word in piece:
                if place + matched < size and left[place + matched] == word:
                    matched += 1
                    part = is_equation and matched < len(piece)
                    after[place + matched] = min(after[place + matched], cost[place] + part)
        for place in range(size):
            after[place + 1] = min(after[place + 1], after[place] + _UNEXPLAINED)
        cost = after
    return cost[size] % _UNEXPLAINED
