r"""Gold answers with right answers respelled and near misses, by kind, for `test_grading_differences`.

A row of the table beside this file is a gold, what says the same, and what does not. Answers are put into a box; a text
that holds a box already is the whole completion. `GOLDS` are varied by rule: see `varied`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).with_suffix(".jsonl")
# MATH- and GSM8K-style golds, respelled and missed by rule.
GOLDS = [
    "7", "-50", "128", "1728", "0.15", ".35625", r"\frac{14}{3}", r"-\frac{\pi}{6}", r"\frac{17}{50}", r"12\pi",
    r"\sqrt{53}", r"70\sqrt{2}", r"11\sqrt{5}+11", "6-5i", "p-q", "x^3+3x-6", "2k+2", "x=5", "y=-2x",
    r"\frac{\sqrt{3}}{2}", r"\frac{1}{2+\sqrt{3}}", r"\frac{3\pi}{4}", "2^{10}", r"\frac{x+1}{x-2}", r"e^{2}",
    r"\ln 7", r"4+3\sqrt{2}", "-3", r"\frac{-5}{12}", "1001", r"\left(3,\frac{\pi}{2}\right)", "(-2,1)", "(0,5,-7)",
    r"\frac{a^2}{b}", r"x^{2}-4", r"\sqrt[3]{4}", "18", "145", "60000", "25.5",
]  # fmt: skip


class Case(NamedTuple):
    """A gold answer and a completion of a kind, and whether it is right."""

    kind: str
    gold: str
    completion: str
    right: bool


def cases() -> Iterator[Case]:
    """Every case once."""
    seen = set()
    for case in _all():
        if case[1:3] not in seen:
            seen.add(case[1:3])
            yield case


def _all() -> Iterator[Case]:
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        kind, gold = row["kind"], row["gold"]
        if r"\boxed" not in gold:
            yield Case(kind, gold, boxed(gold), True)
        for column in ("right", "wrong"):
            for answer in row[column]:
                yield Case(kind, gold, answer if r"\boxed" in answer else boxed(answer), column == "right")
    for gold in GOLDS:
        yield from varied(gold)


def boxed(answer: str) -> str:
    return f"So the result is $\\boxed{{{answer}}}$."


def varied(gold: str) -> Iterator[Case]:
    """A gold with other fraction macros, spaces, delimiters and a unit; with its sign flipped and a digit changed."""
    right = [
        gold,
        gold.replace(r"\frac", r"\dfrac"),
        gold.replace(r"\frac", r"\tfrac"),
        f" {gold} ",
        rf"\displaystyle {gold}",
        f"{{{gold}}}",
        re.sub(r"(?<![\\{^_])([-+=])", r" \1 ", gold),
        f"{gold}.",
    ]
    if re.fullmatch(r"-?[\d.]+", gold):
        right += [rf"{gold}\text{{ units}}", f"{gold} apples", rf"\text{{{gold}}}", rf"\${gold}"]
        right += [] if gold.startswith("-") else [f"+{gold}"]
    wrong = [] if re.search(r"[=,]", gold) else [f"{gold}+1", rf"-\left({gold}\right)", rf"2\cdot\left({gold}\right)"]
    if digits := re.findall(r"\d", gold):
        place = gold.rindex(digits[-1])
        wrong.append(f"{gold[:place]}{(int(digits[-1]) + 1) % 10}{gold[place + 1 :]}")
    if gold.startswith("("):
        wrong.append(f"({','.join(gold[1:-1].split(',')[::-1])})")
    for answers, is_right in ((right, True), (wrong, False)):
        for answer in answers:
            yield Case("spellings and neighbours", gold, boxed(answer), is_right)
