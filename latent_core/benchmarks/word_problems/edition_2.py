"""Edition 2: stories with one quantity or two, in units, with fractions and percentages; every step is an equation."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from latent_core.benchmarks.word_problems import edition_2_solutions as solutions
from latent_core.benchmarks.word_problems import edition_2_texts as texts
from latent_core.benchmarks.word_problems.edition_2_texts import Event, Setting
from latent_core.benchmarks.word_problems.problems import Operation, Step, WordProblem
from latent_core.benchmarks.word_problems.words import OBJECTS, PEOPLE, PLACES, THEM

LARGEST = 200  # no quantity of a story is larger; the sum of two may be
_NAMES = tuple((name, he) for he, names in PEOPLE.items() for name in names)
_STORIES = ("objects", "objects", "measure", "money", "time", "people", "kinds")
_ADDED = 40  # the largest number that is added or taken away at once


def draw_problem(draw: random.Random, difficulty: int) -> WordProblem:
    """One problem of `difficulty` steps, whichever split its text belongs to."""
    story = draw.choice(_STORIES)
    if story in texts.SINGLES:
        return _of_one(draw, difficulty, story)
    return _of_two(draw, difficulty, story)


class _Change(NamedTuple):
    """What happens to a quantity: the event's key, its operand, and the fraction in words where it is one."""

    key: str
    operand: int
    fraction: str = ""


class _Story:
    """A problem as it grows: question, solution, steps and notes, and the words that its sentences are filled with."""

    def __init__(self, draw: random.Random, difficulty: int) -> None:
        (name, he), (other, _) = draw.sample(_NAMES, 2)
        self.draw = draw
        self.difficulty = difficulty
        self.reserved = 0  # steps at the end that are the question's own
        self.words: dict[str, Any] = {
            "name": name, "other": other, "he": he, "He": he.capitalize(), "him": THEM[he],
        }  # fmt: skip
        self.question: list[str] = []
        self.solution: list[str] = []
        self.steps: list[Step] = []
        self.notes: list[str] = []

    @property
    def left(self) -> int:
        """How many steps of events are still to come."""
        return self.difficulty - self.reserved - len(self.steps)

    def ask(self, templates: tuple[str, ...]) -> None:
        self.question.append(self.draw.choice(templates).format_map(self.words))

    def tell(self, templates: tuple[str, ...]) -> None:
        self.solution.append(self.draw.choice(templates).format_map(self.words))

    def happen(self, events: tuple[Event, ...]) -> str:
        """Tell an event in the question; returns its note."""
        event = self.draw.choice(events)
        self.question.append(event.text.format_map(self.words))
        return event.note.format_map(self.words)

    def step(self, worked: str, note: str, operation: Operation, before: int, operand: int) -> int:
        """Write one equation into the solution; returns its result."""
        words = self.words
        if operation == "+":
            after = before + operand
        elif operation == "-":
            after = before - operand
        elif operation == "*":
            after = before * operand
        else:
            after = before // operand
        step = Step(operation, before, operand, after)
        last = len(self.steps) == self.difficulty - 1 > 0
        words["order"] = "Finally" if last else solutions.ORDER[len(self.steps)]
        words["before"], words["operand"], words["after"] = before, operand, after
        words["equation"] = step.equation
        self.solution.append(self.draw.choice(solutions.WORKED[worked]).format_map(words))
        self.steps.append(step)
        self.notes.append(note)
        return after

    def change(self, events: dict[str, tuple[Event, ...]], value: int) -> int:
        """Let something happen to a quantity of `value`; returns what it is then."""
        change = self._drawn(events, value)
        if change.key in ("buy", "sell"):
            return self._trade(events, value, change)
        words = self.words
        words["operand"], words["fraction"] = change.operand, change.fraction
        words["fraction_first"] = change.fraction.capitalize()
        if change.key == "*":
            words["times"] = self.draw.choice(texts.TIMES[change.operand])
        note = self.happen(events[change.key])
        if change.key == "away":
            part = self.step("part", "part", "/", value, change.operand)
            return self.step("-", note, "-", value, part)
        operation: Any = "/" if change.key == "keep" else change.key
        return self.step(change.key, note, operation, value, change.operand)

    def _drawn(self, events: dict[str, tuple[Event, ...]], value: int) -> _Change:
        draw = self.draw
        keys = []
        if value <= LARGEST - _ADDED:
            keys += ["+", "+"]
        if value >= 4:
            keys += ["-", "-"]
        if value <= LARGEST // 5:
            keys.append("*")
        shares = [number for number in (2, 3, 4, 5) if value % number == 0 and value // number > 1]
        if shares:
            keys += ["/", "keep"]
        if self.left > 1:
            if shares:
                keys.append("away")
            if "buy" in events and value >= 8:
                keys += ["buy", "sell"] if value <= LARGEST - _ADDED else ["buy"]
        key = draw.choice([key for key in keys if key in events])
        if key == "+":
            return _Change(key, draw.randint(2, _ADDED))
        if key == "-":
            return _Change(key, draw.randint(2, min(value - 2, _ADDED)))
        if key == "*":
            return _Change(key, draw.randint(2, 5))
        if key == "/":
            return _Change(key, draw.choice(shares))
        if key in ("keep", "away"):
            fitting = [
                fraction for fraction in texts.FRACTIONS if value % fraction[1] == 0 and value // fraction[1] > 1
            ]
            fraction, divisor = draw.choice(fitting)
            return _Change(key, divisor, fraction)
        return _Change(key, 0)

    def _trade(self, events: dict[str, tuple[Event, ...]], value: int, change: _Change) -> int:
        """So many things are bought or sold at so much each: two steps."""
        most = min(value - 2, _ADDED) if change.key == "buy" else _ADDED
        each = self.draw.randint(2, min(9, most // 2))
        number = self.draw.randint(2, min(9, most // each))
        self.words["groups"], self.words["each"] = number, each
        self.words["goods"] = self.draw.choice(OBJECTS)
        note = self.happen(events[change.key])
        price = self.step("price", note, "*", number, each)
        return (
            self.step("-", "left", "-", value, price)
            if change.key == "buy"
            else self.step("+", "money", "+", value, price)
        )

    def ended(self, given: tuple[int, ...], answer: int) -> WordProblem:
        self.words["value"] = answer
        self.tell(solutions.CLOSINGS)
        question, solution = " ".join(self.question), " ".join(self.solution)
        return WordProblem(question, tuple(self.steps), solution, answer, given, tuple(self.notes))


def _of_one(draw: random.Random, difficulty: int, kind: str) -> WordProblem:
    """A story of one quantity that changes."""
    story, setting, words = _Story(draw, difficulty), texts.SINGLES[kind], {}
    if kind == "objects":
        words = {"unit": draw.choice(OBJECTS), "place": draw.choice(PLACES)}
    elif kind == "measure":
        unit, vessel = draw.choice(texts.MEASURES)
        words = {"unit": unit, "vessel": vessel}
    elif kind == "money":
        words = {"unit": "dollars", "goods": draw.choice(OBJECTS)}
    else:
        words = {"unit": "minutes", "task": draw.choice(texts.TASKS)}
    story.words.update(words)
    story.words["thing"] = setting.thing.format_map(story.words)
    story.words["goal"] = setting.goal.format_map(story.words)
    story.words["result"] = story.words["thing"]
    if draw.random() < 0.2:
        given, value = _grouped(story, setting)
    else:
        value = draw.randint(4, 60)
        given = (value,)
        story.words["value"] = value
        story.ask(setting.openings)
        story.tell(solutions.LEADS)
        story.tell(solutions.STARTS)
    while story.left:
        value = story.change(setting.events, value)
    story.ask(setting.questions)
    return story.ended(given, value)


def _grouped(story: _Story, setting: Setting) -> tuple[tuple[int, ...], int]:
    """A story that opens with so many groups of so many: the first step counts them."""
    number, each = story.draw.randint(2, 9), story.draw.randint(2, 12)
    place = story.words.get("place")
    story.words["groups"], story.words["each"] = number, each
    if place is not None:
        story.words["place"] = texts.PLURAL_PLACES[PLACES.index(place)]
    note = story.happen(setting.groups)
    story.tell(solutions.LEADS)
    return (number, each), story.step("groups", note, "*", number, each)


def _of_two(draw: random.Random, difficulty: int, kind: str) -> WordProblem:
    """A story of two quantities, of which the sum or the difference is asked."""
    story = _Story(draw, difficulty)
    story.reserved = 1
    words = story.words
    a, b = (words["name"], words["other"]) if kind == "people" else draw.sample(OBJECTS, 2)
    words["a"], words["b"], words["place"] = a, b, draw.choice(PLACES)
    units = (draw.choice(OBJECTS),) * 2 if kind == "people" else (a, b)
    things = [texts.PAIR_THINGS[kind].format(unit=unit, who=who) for unit, who in zip(units, (a, b), strict=True)]
    asked: Operation = draw.choice(("+", "-"))
    words["goal"] = texts.PAIR_GOALS[asked]
    words["result"] = "total" if asked == "+" else "difference"
    first = draw.randint(4, 60)
    words["x"], words["unit"] = first, units[0]
    values = [first, 0]
    if story.left and draw.random() < 0.5:
        given: tuple[int, ...] = (first,)
        story.ask(texts.PAIR_FIRST[kind])
        story.tell(solutions.LEADS)
        words["thing"], words["value"] = things[0], first
        story.tell(solutions.STARTS)
        words["thing"], words["unit"] = things[1], units[1]
        values[1] = story.change(texts.PAIR_RELATIONS[kind], first)
    else:
        values[1] = draw.randint(4, 60)
        given = (first, values[1])
        words["y"] = values[1]
        story.ask(texts.PAIR_OPENINGS[kind])
        story.tell(solutions.LEADS)
        words["thing"], words["other_thing"] = things
        story.tell(solutions.PAIR_STARTS)
    while story.left:
        chosen = draw.randrange(2)
        words["who"], words["whom"] = ((a, b), (b, a))[chosen]
        words["unit"], words["thing"] = units[chosen], things[chosen]
        moves = kind == "people" and story.left > 1 and values[chosen] >= 4 and draw.random() < 0.3
        if moves and values[1 - chosen] <= LARGEST - _ADDED:
            _move(story, values, chosen, things)
            continue
        values[chosen] = story.change(texts.PAIR_EVENTS[kind], values[chosen])
    return _compared(story, kind, values, given, asked)


def _move(story: _Story, values: list[int], giver: int, things: list[str]) -> None:
    """One person gives some to the other: two steps."""
    operand = story.draw.randint(2, min(values[giver] - 2, _ADDED))
    story.words["operand"] = operand
    story.happen(texts.PAIR_EVENTS["people"]["move"])
    who, whom = story.words["who"], story.words["whom"]
    values[giver] = story.step("-", f"{who} gives", "-", values[giver], operand)
    story.words["thing"] = things[1 - giver]
    values[1 - giver] = story.step("+", f"{whom} gets", "+", values[1 - giver], operand)


def _compared(story: _Story, kind: str, values: list[int], given: tuple[int, ...], asked: Operation) -> WordProblem:
    """Ask for the sum or the difference of both quantities; the difference of equal ones is no question."""
    words = story.words
    if asked == "-" and abs(values[0] - values[1]) < 2:
        asked, words["result"] = "+", "total"
    if asked == "+":
        story.ask(texts.PAIR_QUESTIONS[kind]["+"])
        return story.ended(given, story.step("total", "together", "+", values[0], values[1]))
    large, small = (0, 1) if values[0] > values[1] else (1, 0)
    names = (words["a"], words["b"])
    words["big"], words["small"] = names[large], names[small]
    story.ask(texts.PAIR_QUESTIONS[kind]["-"])
    return story.ended(given, story.step("difference", "difference", "-", values[large], values[small]))
