"""Procedural arithmetic word problems with worked solutions: the embedded benchmark that needs no download.

A problem is a short story about one quantity that changes `difficulty` times (1 to 5). Its worked solution is natural,
redundant prose in several paraphrases, so that there is something to compress. Splits are disjoint twice over: by seed
range, and by a hash of the question's text that decides which split a question may appear in.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import Literal

GENERATOR_VERSION = 1  # part of the benchmark's content hash: raise it when any problem's text changes
MAX_DIFFICULTY = 5
SPLIT_SEEDS = {"train": range(0, 10**8), "validation": range(10**8, 2 * 10**8), "test": range(2 * 10**8, 3 * 10**8)}
_SPLIT_BUCKETS = {"train": range(0, 8), "validation": range(8, 9), "test": range(9, 10)}  # of 10

Operation = Literal["+", "-", "*", "/"]

_PEOPLE = {
    "he": [
        "Tom",
        "Ben",
        "Sam",
        "Leo",
        "Max",
        "Dan",
        "Omar",
        "Ivan",
        "Hugo",
        "Noah",
        "Liam",
        "Ravi",
        "Kofi",
        "Jack",
        "Owen",
        "Paul",
        "Finn",
        "Amir",
        "Luca",
        "Theo",
    ],
    "she": [
        "Anna",
        "Mia",
        "Ella",
        "Zoe",
        "Lily",
        "Nora",
        "Emma",
        "Ruth",
        "Sara",
        "Maya",
        "Iris",
        "Lucy",
        "Jane",
        "Rosa",
        "Amy",
        "Leah",
        "Nina",
        "Tara",
        "Eva",
        "Kate",
    ],
}
_THEM = {"he": "him", "she": "her"}
_OBJECTS = [
    "apples",
    "books",
    "pens",
    "coins",
    "stamps",
    "marbles",
    "cards",
    "shells",
    "eggs",
    "flowers",
    "stickers",
    "pencils",
    "oranges",
    "buttons",
    "stones",
    "cookies",
    "balls",
    "beads",
    "candles",
    "cups",
    "kites",
    "leaves",
    "muffins",
    "nuts",
    "peaches",
    "photos",
    "plums",
    "ribbons",
    "seeds",
    "toys",
]
_PLACES = ["box", "basket", "bag", "drawer", "jar", "chest", "tin", "bucket", "crate", "sack"]

_OPENINGS = (
    "{name} has {value} {objects}.",
    "{name} starts the day with {value} {objects}.",
    "There are {value} {objects} in {name}'s {place}.",
    "{name} keeps {value} {objects} in a {place}.",
)
_EVENTS: dict[Operation, tuple[str, ...]] = {
    "+": (
        "{He} buys {operand} more {objects}.",
        "{other} gives {him} {operand} more.",
        "Then {he} finds {operand} more {objects}.",
        "Later {he} wins {operand} extra {objects} in a game.",
    ),
    "-": (
        "{He} gives {operand} {objects} to {other}.",
        "{He} loses {operand} of them.",
        "Then {he} sells {operand} {objects}.",
        "Later {other} takes {operand} of them away.",
    ),
    "*": (
        "By the end of the week {he} has {operand} times as many.",
        "Then the number of {objects} grows to {operand} times what it was.",
        "{other} swaps every one of them for {operand} new ones.",
    ),
    "/": (
        "{He} shares them equally among {operand} bags and keeps only one bag.",
        "Then {he} splits them into {operand} equal groups and keeps one group.",
        "{He} divides them evenly between {operand} people and is left with one share.",
    ),
}
_QUESTIONS = (
    "How many {objects} does {name} have now?",
    "How many {objects} does {name} have in the end?",
    "How many {objects} are left with {name}?",
)
_LEADS = (
    "Let us work through this problem one step at a time.",
    "To solve this problem, we need to follow the story carefully from the beginning.",
    "Okay, so we want to find out how many {objects} {name} has at the end of the story.",
    "We will keep track of the number of {objects} and update it after every event.",
)
_STARTS = (
    "At the beginning, {name} has {value} {objects}, so the starting number is {value}.",
    "The story tells us that there are {value} {objects} at the start.",
    "First of all, we know that {name} begins with {value} {objects}.",
)
_ORDER = ("First", "Next", "After that", "Then", "Finally")
_WORKED: dict[Operation, tuple[str, ...]] = {
    "+": (
        "{order}, {name} gets {operand} more {objects}, so the number goes up and we have to add. "
        "{before} + {operand} = {after}. This means that {name} now has {after} {objects}.",
        "{order}, we look at the {operand} extra {objects} that come in. Adding them to the {before} that were already "
        "there gives {before} + {operand} = {after}, so the new number is {after}.",
        "{order}, because {operand} {objects} are added to the {before} that {he} had before, "
        "the total becomes {before} + {operand} = {after} {objects}.",
    ),
    "-": (
        "{order}, {name} has {operand} {objects} fewer than before, so the number goes down and we have to subtract. "
        "{before} - {operand} = {after}. This means that {name} now has {after} {objects}.",
        "{order}, we look at the {operand} {objects} that go away. Taking them from the {before} that were already "
        "there gives {before} - {operand} = {after}, so the new number is {after}.",
        "{order}, because {operand} {objects} are removed from the {before} that {he} had before, "
        "what remains is {before} - {operand} = {after} {objects}.",
    ),
    "*": (
        "{order}, the number of {objects} becomes {operand} times as large, so we have to multiply. "
        "{before} * {operand} = {after}. This means that {name} now has {after} {objects}.",
        "{order}, we see that each of the {before} {objects} counts {operand} times. Multiplying these two numbers "
        "gives {before} * {operand} = {after}, so the new number is {after}.",
        "{order}, because there are now {operand} times as many as the {before} that {he} had before, "
        "the total becomes {before} * {operand} = {after} {objects}.",
    ),
    "/": (
        "{order}, the {objects} are split into {operand} equal parts and one part is kept, so we have to divide. "
        "{before} / {operand} = {after}. This means that {name} now has {after} {objects}.",
        "{order}, we share the {before} {objects} fairly between {operand} parts. Dividing these two numbers "
        "gives {before} / {operand} = {after}, so the new number is {after}.",
        "{order}, because only one of {operand} equal parts is kept from the {before} that {he} had before, "
        "what remains is {before} / {operand} = {after} {objects}.",
    ),
}
_CLOSINGS = (
    "There is nothing else that happens in the story, so the number of {objects} at the end is {value}.",
    "That was the last thing that happens, and therefore {name} has {value} {objects} in the end.",
    "Now we have followed every event, which means that the answer to the question is {value}.",
)


@dataclass(frozen=True)
class Step:
    """One change of the quantity: `before operation operand = after`."""

    operation: Operation
    before: int
    operand: int
    after: int


@dataclass(frozen=True)
class WordProblem:
    """A question, its steps, a worked solution in prose, and the answer as an integer."""

    question: str
    steps: tuple[Step, ...]
    solution: str
    answer: int


def split_of(question: str) -> str:
    """The only split in which this question's text may appear."""
    bucket = int.from_bytes(hashlib.sha256(question.encode()).digest()[:8]) % 10
    return next(split for split, buckets in _SPLIT_BUCKETS.items() if bucket in buckets)


def generate_problem(split: str, index: int, *, difficulty: int) -> WordProblem:
    """The `index`-th problem of a split; the same arguments give the same problem for ever.

    Raises ValueError for an unknown split, an index outside the split's seed range or a difficulty outside 1..5.
    """
    if split not in SPLIT_SEEDS:
        raise ValueError(f"split: unknown split {split!r}; choose one of {', '.join(SPLIT_SEEDS)}")
    if not 1 <= difficulty <= MAX_DIFFICULTY:
        raise ValueError(f"difficulty: must lie in 1..{MAX_DIFFICULTY}, got {difficulty}")
    seeds = SPLIT_SEEDS[split]
    if not 0 <= index < len(seeds):
        raise ValueError(f"index: must lie in 0..{len(seeds) - 1}, got {index}")
    draw = random.Random(f"word_problems/{GENERATOR_VERSION}/{seeds[index]}/{difficulty}")
    while True:
        problem = _draw_problem(draw, difficulty)
        if split_of(problem.question) == split:
            return problem


def _draw_step(draw: random.Random, before: int) -> Step:
    operations: list[Operation] = ["+"]
    if before >= 4:
        operations.append("-")
    if before <= 30:
        operations.append("*")
    divisors = [divisor for divisor in (2, 3, 4, 5) if before % divisor == 0 and before // divisor > 1]
    if divisors:
        operations.append("/")
    operation = draw.choice(operations)
    if operation == "+":
        operand = draw.randint(2, 30)
        return Step(operation, before, operand, before + operand)
    if operation == "-":
        operand = draw.randint(2, min(before - 2, 30))  # at least two, before and after: the prose is in the plural
        return Step(operation, before, operand, before - operand)
    if operation == "*":
        operand = draw.randint(2, 4)
        return Step(operation, before, operand, before * operand)
    operand = draw.choice(divisors)
    return Step(operation, before, operand, before // operand)


def _draw_problem(draw: random.Random, difficulty: int) -> WordProblem:
    he = draw.choice(("he", "she"))
    name = draw.choice(_PEOPLE[he])
    other = draw.choice([person for people in _PEOPLE.values() for person in people if person != name])
    start = draw.randint(4, 40)
    words: dict[str, str | int] = {
        "name": name, "other": other, "he": he, "He": he.capitalize(), "him": _THEM[he],
        "objects": draw.choice(_OBJECTS), "place": draw.choice(_PLACES), "value": start,
    }  # fmt: skip
    steps: list[Step] = []
    question = [draw.choice(_OPENINGS).format_map(words)]
    solution = [draw.choice(_LEADS).format_map(words), draw.choice(_STARTS).format_map(words)]
    value = start
    for number in range(difficulty):
        step = _draw_step(draw, value)
        words["before"], words["operand"], words["after"] = step.before, step.operand, step.after
        words["order"] = "Finally" if number == difficulty - 1 and difficulty > 1 else _ORDER[number]
        question.append(draw.choice(_EVENTS[step.operation]).format_map(words))
        solution.append(draw.choice(_WORKED[step.operation]).format_map(words))
        steps.append(step)
        words["value"] = value = step.after
    question.append(draw.choice(_QUESTIONS).format_map(words))
    solution.append(draw.choice(_CLOSINGS).format_map(words))
    return WordProblem(" ".join(question), tuple(steps), " ".join(solution), value)
