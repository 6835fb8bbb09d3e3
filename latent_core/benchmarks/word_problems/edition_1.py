"""Edition 1: a short story about one quantity that changes at every step. Its texts never change."""

from __future__ import annotations

import random

from latent_core.benchmarks.word_problems.problems import Operation, Step, WordProblem
from latent_core.benchmarks.word_problems.words import OBJECTS, PEOPLE, PLACES, THEM

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


def draw_problem(draw: random.Random, difficulty: int) -> WordProblem:
    """One problem of `difficulty` steps, whichever split its text belongs to."""
    he = draw.choice(("he", "she"))
    name = draw.choice(PEOPLE[he])
    other = draw.choice([person for people in PEOPLE.values() for person in people if person != name])
    start = draw.randint(4, 40)
    words: dict[str, str | int] = {
        "name": name, "other": other, "he": he, "He": he.capitalize(), "him": THEM[he],
        "objects": draw.choice(OBJECTS), "place": draw.choice(PLACES), "value": start,
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
