"""Countdown solved exactly: whether numbers, each used once, give a target with + - * / and brackets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from random import Random


def solve(numbers: Sequence[int], target: int) -> str | None:
    """An expression of all `numbers` that equals `target`, None where there is none; every combination is tried."""
    return _solve(tuple((Fraction(number), str(number)) for number in numbers), Fraction(target))


def any_expression(numbers: Sequence[int], random: Random) -> str:
    """An expression that uses each of `numbers` once, in any order and any shape, whatever it equals."""
    terms = [str(number) for number in random.sample(list(numbers), len(numbers))]
    while len(terms) > 1:
        place = random.randrange(len(terms) - 1)
        joined = f"{terms[place]} {random.choice('+-*/')} {terms[place + 1]}"
        terms[place : place + 2] = [joined if len(terms) == 2 else f"({joined})"]
    return terms[0]


def _solve(terms: tuple[tuple[Fraction, str], ...], target: Fraction) -> str | None:
    if len(terms) == 1:
        value, expression = terms[0]
        return expression if value == target else None
    seen: set[tuple[Fraction, ...]] = set()
    for right in range(1, len(terms)):
        for left in range(right):
            rest = (*terms[:left], *terms[left + 1 : right], *terms[right + 1 :])
            for term in _joined(terms[left], terms[right]):
                reached = tuple(sorted(value for value, _ in (*rest, term)))
                if reached not in seen:
                    seen.add(reached)
                    if found := _solve((*rest, term), target):
                        return found
    return None


def _joined(one: tuple[Fraction, str], other: tuple[Fraction, str]) -> Iterator[tuple[Fraction, str]]:
    (a, first), (b, second) = one, other
    yield a + b, f"({first} + {second})"
    yield a * b, f"({first} * {second})"
    yield a - b, f"({first} - {second})"
    yield b - a, f"({second} - {first})"
    if b:
        yield a / b, f"({first} / {second})"
    if a:
        yield b / a, f"({second} / {first})"
