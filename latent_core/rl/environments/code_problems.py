"""Programming problems with unit tests: from a JSONL file, or made here from a seed.

A problem asks for a function, whose tests are arguments and a result, or for a program, whose tests are what it reads
from standard input and what it prints. The problems made here have tests computed by a solution of our own.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from latent_core.errors import InputError
from latent_core.rl.environments.jsonl import read_rows, text_of

TESTS = 6  # of a problem made here, the example that is shown among them
_Draw = random.Random


@dataclass(frozen=True)
class UnitTest:
    """`given` is a list of arguments, or the text of standard input; `expected` a JSON value, or what is printed."""

    given: Any
    expected: Any


@dataclass(frozen=True)
class CodeProblem:
    """A task in words and its tests; `function` is None for a program. The first test is shown with the task."""

    text: str
    function: str | None
    tests: tuple[UnitTest, ...]


def read_problems(argument: str) -> list[CodeProblem]:
    """The problems of a JSONL file, an object a line: `problem`, `tests` and, for functions, `function`.

    `tests` is a list of objects with `input` and `output`. Raises InputError for a file or a row that is not so.
    """
    return [_problem(place, row) for place, row in read_rows("code", argument)]


def _problem(place: str, row: dict[str, Any]) -> CodeProblem:
    text = text_of(place, row, "problem")
    function = row.get("function")
    if function is not None and not (isinstance(function, str) and function.isidentifier()):
        raise InputError(f"environment: {place}: function is {function!r}; give a name, or leave it out for a program")
    tests = row.get("tests")
    if not isinstance(tests, list) or not tests:
        raise InputError(f"environment: {place} has no tests; give a list of objects with input and output")
    for number, test in enumerate(tests):
        if not isinstance(test, dict) or not {"input", "output"} <= test.keys():
            raise InputError(f"environment: {place}: tests[{number}] needs the keys input and output")
        if function is None and not (isinstance(test["input"], str) and isinstance(test["output"], str)):
            raise InputError(
                f"environment: {place}: input and output of tests[{number}] must be text, as no function is named"
            )
        if function is not None and not isinstance(test["input"], list):
            raise InputError(f"environment: {place}: input of tests[{number}] must be the list of arguments")
    return CodeProblem(text, function, tuple(UnitTest(test["input"], test["output"]) for test in tests))


def make_problem(seed: int) -> CodeProblem:
    """The problem of a seed, one of ten kinds with numbers of its own."""
    draw = random.Random(f"code/1/{seed}")
    return draw.choice(_KINDS)(draw)


def _function(text: str, name: str, solution: Callable[..., Any], arguments: Callable[[], list[Any]]) -> CodeProblem:
    tests = [UnitTest(given := arguments(), solution(*given)) for _ in range(TESTS)]
    return CodeProblem(f"Write a function `{name}` {text}", name, tuple(tests))


def _numbers(draw: _Draw, low: int = -20, high: int = 50) -> list[int]:
    return [draw.randint(low, high) for _ in range(draw.randint(3, 10))]


def _words(draw: _Draw) -> list[str]:
    return ["".join(draw.choices("abcdefgh", k=draw.randint(1, 7))) for _ in range(draw.randint(2, 8))]


def _divisible(draw: _Draw) -> CodeProblem:
    by = draw.randint(2, 7)
    text = f"that takes a list of integers and returns the sum of those that are divisible by {by}."
    return _function(text, "solve", lambda xs: sum(x for x in xs if x % by == 0), lambda: [_numbers(draw)])


def _pipeline(draw: _Draw) -> CodeProblem:
    """A composition of list functions, as in DeepCoder's language (Balog et al. 2017, arXiv 1611.01989)."""
    keeps: list[tuple[str, Callable[[int], bool]]] = [
        ("even", lambda x: x % 2 == 0),
        ("odd", lambda x: x % 2 == 1),
        ("greater than 5", lambda x: x > 5),
    ]
    ends: list[tuple[str, Callable[[list[int]], Any]]] = [
        ("sum", sum),
        ("number", len),
        ("sorted list", sorted),
        ("list", list),
    ]
    keep, kept = draw.choice(keeps)
    factor, shift = draw.randint(2, 5), draw.randint(1, 9)
    word, last = draw.choice(ends)
    text = (
        f"that takes a list of integers, keeps those that are {keep}, multiplies each by {factor} and adds {shift}, "
        f"and returns the {word} of the resulting values."
    )

    def solution(xs: list[int]) -> Any:
        return last([x * factor + shift for x in xs if kept(x)])

    return _function(text, "solve", solution, lambda: [_numbers(draw)])


def _long_words(draw: _Draw) -> CodeProblem:
    least = draw.randint(2, 6)
    text = f"that takes a text and returns how many of its words, separated by spaces, have at least {least} letters."
    return _function(
        text, "solve", lambda s: sum(len(word) >= least for word in s.split()), lambda: [" ".join(_words(draw))]
    )


def _rotated(draw: _Draw) -> CodeProblem:
    by = draw.randint(1, 15)
    text = f"that takes a list and returns it rotated to the left by {by} places (as often around as that takes)."
    return _function(text, "solve", lambda xs: xs[by % len(xs) :] + xs[: by % len(xs)], lambda: [_numbers(draw)])


def _caesar(draw: _Draw) -> CodeProblem:
    by = draw.randint(1, 25)
    text = f"that takes a text of small letters and moves each {by} places on in the alphabet; after z comes a."
    return _function(
        text,
        "solve",
        lambda s: "".join(chr((ord(sign) - 97 + by) % 26 + 97) for sign in s),
        lambda: ["".join(_words(draw))],
    )


def _digits(draw: _Draw) -> CodeProblem:
    base = draw.randint(2, 9)
    text = f"that takes an integer of at least 0 and returns the sum of its digits in base {base}."

    def solution(number: int) -> int:
        return number % base + solution(number // base) if number else 0

    return _function(text, "solve", solution, lambda: [draw.randint(0, 5000)])


def _rises(draw: _Draw) -> CodeProblem:
    least = draw.randint(1, 9)
    text = (
        "that takes a list of integers and returns the length of the longest run of neighbours in which each is "
        f"greater than the one before by at least {least}."
    )

    def solution(xs: list[int]) -> int:
        best = length = 1
        for before, after in pairwise(xs):
            length = length + 1 if after - before >= least else 1
            best = max(best, length)
        return best

    return _function(text, "solve", solution, lambda: [_numbers(draw, 0, 40)])


def _common(draw: _Draw) -> CodeProblem:
    count = draw.randint(1, 3)
    text = (
        f"that takes a list of integers and returns a list of its {count} most frequent values (fewer where there are "
        "no more), the most frequent first and, of those equally frequent, the smaller first."
    )

    def solution(xs: list[int]) -> list[int]:
        return sorted(set(xs), key=lambda x: (-Counter(xs)[x], x))[:count]

    return _function(text, "solve", solution, lambda: [[draw.randint(0, 5) for _ in range(draw.randint(4, 12))]])


def _intervals(draw: _Draw) -> CodeProblem:
    gap = draw.randint(0, 3)
    text = (
        "that takes a list of intervals [start, end] and returns them merged and sorted: two become one where the "
        f"second starts at most {gap} after the first ends."
    )

    def solution(intervals: list[list[int]]) -> list[list[int]]:
        merged: list[list[int]] = []
        for start, end in sorted(intervals):
            if merged and start <= merged[-1][1] + gap:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        return merged

    def arguments() -> list[Any]:
        starts = [draw.randint(0, 30) for _ in range(draw.randint(1, 7))]
        return [[[start, start + draw.randint(0, 6)] for start in starts]]

    return _function(text, "solve", solution, arguments)


def _sums_by_line(draw: _Draw) -> CodeProblem:
    factor = draw.randint(2, 9)
    text = (
        "Write a program that reads a number n from the first line of its standard input, then n lines of integers "
        f"separated by spaces, and prints for each of these lines the sum of its integers times {factor}, one a line."
    )

    def test() -> UnitTest:
        lines = [_numbers(draw) for _ in range(draw.randint(1, 5))]
        read = "\n".join([str(len(lines)), *(" ".join(map(str, line)) for line in lines)])
        return UnitTest(f"{read}\n", "".join(f"{sum(line) * factor}\n" for line in lines))

    return CodeProblem(text, None, tuple(test() for _ in range(TESTS)))


_KINDS: tuple[Callable[[_Draw], CodeProblem], ...] = (
    *(_divisible, _pipeline, _long_words, _rotated, _caesar, _digits, _rises, _common, _intervals),
    _sums_by_line,
)


def shown(test: UnitTest, function: str | None) -> str:
    """A test in words."""
    if function is None:
        return f"For the input\n{test.given.rstrip()}\nit prints\n{test.expected.rstrip()}"
    arguments = ", ".join(_value(value) for value in test.given)
    return f"{function}({arguments}) returns {_value(test.expected)}"


def _value(value: Any) -> str:
    return repr(value) if not isinstance(value, str) else json.dumps(value, ensure_ascii=False)
