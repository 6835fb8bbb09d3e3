"""The sentences of edition 2's questions, and the words that stand for a story's quantities.

Keys of events: an operation with its operand in digits; `keep`, where a fraction of the quantity stays; `away`, where a
fraction of it goes, which takes two equations.
"""

from __future__ import annotations

from typing import NamedTuple

FRACTIONS = (
    ("half", 2),
    ("a third", 3),
    ("a quarter", 4),
    ("a fifth", 5),
    ("a tenth", 10),
    ("50 percent", 2),
    ("25 percent", 4),
    ("20 percent", 5),
    ("10 percent", 10),
)
TIMES = {2: ("2 times", "twice"), 3: ("3 times",), 4: ("4 times",), 5: ("5 times",)}


class Event(NamedTuple):
    """A sentence of a question, and what happens in it in a word or two."""

    text: str
    note: str


class Setting(NamedTuple):
    """What a story is about: how it opens, what can happen, what is asked."""

    openings: tuple[str, ...]
    groups: tuple[Event, ...]  # openings that take an equation: so many groups of so many
    events: dict[str, tuple[Event, ...]]
    questions: tuple[str, ...]
    goal: str
    thing: str  # the quantity as the solution calls it


OBJECTS_OF_ONE = Setting(
    openings=(
        "{name} has {value} {unit}.",
        "{name} starts the day with {value} {unit}.",
        "There are {value} {unit} in {name}'s {place}.",
        "{name} keeps {value} {unit} in a {place}.",
    ),
    groups=(
        Event("{name} has {groups} {place} with {each} {unit} in each.", "in all"),
        Event("{name} fills {groups} {place} and puts {each} {unit} into each of them.", "filled"),
        Event("On each of {groups} days {name} collects {each} {unit}.", "collected"),
    ),
    events={
        "+": (
            Event("{He} buys {operand} more {unit}.", "bought"),
            Event("{other} gives {him} {operand} more.", "received"),
            Event("Then {he} finds {operand} more {unit}.", "found"),
            Event("Later {he} wins {operand} extra {unit} in a game.", "won"),
            Event("{He} gets {operand} {unit} as a present.", "present"),
        ),
        "-": (
            Event("{He} gives {operand} {unit} to {other}.", "given"),
            Event("{He} loses {operand} of them.", "lost"),
            Event("Then {he} sells {operand} {unit}.", "sold"),
            Event("Later {other} takes {operand} of them away.", "taken"),
            Event("{operand} of the {unit} are broken and thrown away.", "broken"),
        ),
        "*": (
            Event("By the end of the week {he} has {times} as many.", "grown"),
            Event("Then the number of {unit} grows to {times} what it was.", "grown"),
            Event("{other} swaps every one of them for {operand} new ones.", "swapped"),
        ),
        "/": (
            Event("{He} shares them equally among {operand} bags and keeps only one bag.", "one bag"),
            Event("Then {he} splits them into {operand} equal groups and keeps one group.", "one group"),
            Event("{He} divides them evenly between {operand} people and is left with one share.", "one share"),
        ),
        "keep": (
            Event("{He} keeps only {fraction} of them.", "kept"),
            Event("After a storm only {fraction} of the {unit} are left.", "left"),
        ),
        "away": (
            Event("{He} gives {fraction} of them to {other}.", "given"),
            Event("Then {he} sells {fraction} of the {unit}.", "sold"),
            Event("Later {fraction} of them are lost.", "lost"),
        ),
    },
    questions=(
        "How many {unit} does {name} have now?",
        "How many {unit} does {name} have in the end?",
        "How many {unit} are left with {name}?",
    ),
    goal="how many {unit} {name} has at the end of the story",
    thing="number of {unit} that {name} has",
)
MEASURE = Setting(
    openings=(
        "There are {value} {unit} in a {vessel}.",
        "A {vessel} holds {value} {unit}.",
        "In the morning {name} has {value} {unit} in a {vessel}.",
    ),
    groups=(
        Event("{name} pours {groups} cans of {each} {unit} into a {vessel}.", "in all"),
        Event("On each of {groups} days {each} {unit} come into a {vessel}.", "in all"),
    ),
    events={
        "+": (
            Event("{name} adds {operand} more {unit}.", "added"),
            Event("Then {operand} {unit} are filled in.", "filled in"),
            Event("A truck brings {operand} more {unit}.", "brought"),
        ),
        "-": (
            Event("{name} takes out {operand} {unit}.", "taken"),
            Event("Then {operand} {unit} are used.", "used"),
            Event("Later {operand} {unit} are sold to {other}.", "sold"),
            Event("Through a hole {operand} {unit} are lost.", "lost"),
        ),
        "*": (
            Event("Then the amount grows to {times} what it was.", "grown"),
            Event("The next day there is {times} as much in it.", "grown"),
        ),
        "/": (
            Event("It is shared equally among {operand} cans, and only one can is kept.", "one can"),
            Event("{name} splits it into {operand} equal parts and keeps one part.", "one part"),
        ),
        "keep": (
            Event("By the evening only {fraction} of it is left.", "left"),
            Event("{name} keeps only {fraction} of it.", "kept"),
        ),
        "away": (
            Event("Then {fraction} of it is used.", "used"),
            Event("{name} sells {fraction} of it.", "sold"),
            Event("{fraction_first} of it is given to {other}.", "given"),
        ),
    },
    questions=(
        "How many {unit} are in the {vessel} now?",
        "How many {unit} are left in the end?",
        "How many {unit} does the {vessel} hold in the end?",
    ),
    goal="how many {unit} there are at the end",
    thing="amount in the {vessel}",
)
MONEY = Setting(
    openings=(
        "{name} has {value} dollars.",
        "{name} has saved {value} dollars.",
        "In {name}'s purse there are {value} dollars.",
    ),
    groups=(
        Event("{name} works for {groups} hours and gets {each} dollars an hour.", "pay"),
        Event("{name} sells {groups} {goods} for {each} dollars each.", "sales"),
        Event("{name} saves {each} dollars in each of {groups} weeks.", "saved"),
    ),
    events={
        "+": (
            Event("{He} earns {operand} dollars.", "earned"),
            Event("{other} gives {him} {operand} dollars.", "received"),
            Event("Then {he} finds {operand} dollars in the street.", "found"),
        ),
        "-": (
            Event("{He} spends {operand} dollars on {goods}.", "spent"),
            Event("{He} gives {operand} dollars to {other}.", "given"),
            Event("Then {he} pays {operand} dollars for a ticket.", "paid"),
        ),
        "*": (
            Event("By the end of the year {he} has {times} as much.", "grown"),
            Event("Then the money grows to {times} what it was.", "grown"),
        ),
        "/": (
            Event("{He} shares the money equally between {operand} people and keeps one share.", "one share"),
            Event("{He} divides it into {operand} equal parts and keeps one part.", "one part"),
        ),
        "keep": (
            Event("{He} keeps only {fraction} of the money.", "kept"),
            Event("After a bad week only {fraction} of it is left.", "left"),
        ),
        "away": (
            Event("{He} spends {fraction} of the money.", "spent"),
            Event("Then {he} gives {fraction} of it to {other}.", "given"),
        ),
        "buy": (
            Event("{He} buys {groups} {goods} for {each} dollars each.", "price"),
            Event("Then {he} pays for {groups} {goods} at {each} dollars each.", "price"),
        ),
        "sell": (
            Event("{He} sells {groups} {goods} for {each} dollars each.", "sales"),
            Event("Then {other} pays {him} {each} dollars for each of {groups} {goods}.", "sales"),
        ),
    },
    questions=(
        "How many dollars does {name} have now?",
        "How many dollars are left in the end?",
        "How much money in dollars does {name} have in the end?",
    ),
    goal="how many dollars {name} has in the end",
    thing="money of {name}",
)
TIME = Setting(
    openings=(
        "{name} needs {value} minutes for the {task}.",
        "The {task} takes {name} {value} minutes.",
        "{name} plans {value} minutes for the {task}.",
    ),
    groups=(
        Event("The {task} has {groups} parts, and {name} needs {each} minutes for each.", "all parts"),
        Event("For the {task} {name} needs {groups} rounds of {each} minutes.", "all rounds"),
    ),
    events={
        "+": (
            Event("A break adds {operand} minutes.", "break"),
            Event("Because of the rain it takes {operand} minutes more.", "rain"),
            Event("{He} waits {operand} more minutes for {other}.", "waiting"),
        ),
        "-": (
            Event("A short cut saves {operand} minutes.", "saved"),
            Event("With new shoes {he} is {operand} minutes faster.", "faster"),
            Event("{other} helps, and it takes {operand} minutes less.", "help"),
        ),
        "*": (
            Event("In the snow it takes {times} as long.", "snow"),
            Event("With a heavy bag {he} needs {times} as long.", "heavy"),
        ),
        "/": (Event("The work is split evenly between {operand} people, who all work at once.", "split"),),
        "keep": (
            Event("By bike it takes only {fraction} of the time.", "by bike"),
            Event("After some practice {he} needs only {fraction} of the time.", "practice"),
        ),
        "away": (
            Event("A new road saves {fraction} of the time.", "saved"),
            Event("Good planning saves {fraction} of it.", "saved"),
        ),
    },
    questions=(
        "How many minutes does the {task} take now?",
        "How many minutes does {name} need in the end?",
    ),
    goal="how many minutes {name} needs in the end",
    thing="time for the {task}",
)
SINGLES = {"objects": OBJECTS_OF_ONE, "measure": MEASURE, "money": MONEY, "time": TIME}

MEASURES = (
    ("litres of water", "tank"),
    ("litres of milk", "churn"),
    ("litres of juice", "barrel"),
    ("litres of oil", "drum"),
    ("litres of paint", "bucket"),
    ("kilograms of rice", "sack"),
    ("kilograms of flour", "bin"),
    ("kilograms of sugar", "crate"),
    ("kilograms of sand", "cart"),
    ("kilograms of corn", "chest"),
)
TASKS = ("walk to school", "trip to the lake", "work in the garden", "way home", "cleaning of the house", "morning run")
PLURAL_PLACES = ("boxes", "baskets", "bags", "drawers", "jars", "chests", "tins", "buckets", "crates", "sacks")

# Two quantities: of two people, or of two kinds of things of one person.
PAIR_OPENINGS = {
    "people": ("{a} has {x} {unit} and {b} has {y} {unit}.", "{a} owns {x} {unit}, and {b} owns {y}."),
    "kinds": ("{name} has {x} {a} and {y} {b}.", "In {name}'s {place} there are {x} {a} and {y} {b}."),
}
PAIR_FIRST = {
    "people": ("{a} has {x} {unit}.", "{a} owns {x} {unit}."),
    "kinds": ("{name} has {x} {a}.", "In {name}'s {place} there are {x} {a}."),
}
PAIR_RELATIONS: dict[str, dict[str, tuple[Event, ...]]] = {
    "people": {
        "+": (Event("{b} has {operand} more than {a}.", "{b}"),),
        "-": (Event("{b} has {operand} fewer than {a}.", "{b}"),),
        "*": (Event("{b} has {times} as many as {a}.", "{b}"),),
        "keep": (Event("{b} has only {fraction} of what {a} has.", "{b}"),),
    },
    "kinds": {
        "+": (Event("There are {operand} more {b} than {a}.", "{b}"),),
        "-": (Event("There are {operand} fewer {b} than {a}.", "{b}"),),
        "*": (Event("There are {times} as many {b} as {a}.", "{b}"),),
        "keep": (Event("The number of {b} is only {fraction} of the number of {a}.", "{b}"),),
    },
}
PAIR_EVENTS: dict[str, dict[str, tuple[Event, ...]]] = {
    "people": {
        "+": (
            Event("{who} gets {operand} more {unit}.", "{who} gets"),
            Event("Then {who} finds {operand} {unit}.", "{who} finds"),
        ),
        "-": (
            Event("{who} loses {operand} {unit}.", "{who} loses"),
            Event("Then {who} uses up {operand} {unit}.", "{who} uses"),
        ),
        "*": (Event("The next day {who} has {times} as many {unit}.", "{who} grows"),),
        "keep": (Event("{who} keeps only {fraction} of the {unit}.", "{who} keeps"),),
        "away": (Event("{who} loses {fraction} of the {unit}.", "{who} loses"),),
        "move": (
            Event("{who} gives {operand} {unit} to {whom}.", "moved"),
            Event("Then {whom} gets {operand} {unit} from {who}.", "moved"),
        ),
    },
    "kinds": {
        "+": (
            Event("{name} buys {operand} more {who}.", "{who} bought"),
            Event("Then {name} finds {operand} {who}.", "{who} found"),
        ),
        "-": (
            Event("{name} gives away {operand} {who}.", "{who} given"),
            Event("Then {operand} {who} are lost.", "{who} lost"),
        ),
        "*": (Event("The next day there are {times} as many {who}.", "{who} grown"),),
        "keep": (Event("{name} keeps only {fraction} of the {who}.", "{who} kept"),),
        "away": (Event("{name} sells {fraction} of the {who}.", "{who} sold"),),
    },
}
PAIR_QUESTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "people": {
        "+": (
            "How many {unit} do {a} and {b} have together?",
            "How many {unit} do the two have in total?",
        ),
        "-": (
            "How many more {unit} does {big} have than {small}?",
            "By how many {unit} does {big} have more than {small}?",
        ),
    },
    "kinds": {
        "+": ("How many {a} and {b} does {name} have in all?", "How many things are there in total?"),
        "-": ("How many more {big} than {small} are there now?", "How many more {big} than {small} does {name} have?"),
    },
}
PAIR_GOALS = {"+": "how many there are of both together", "-": "how large the difference is in the end"}
PAIR_THINGS = {"people": "number of {unit} that {who} has", "kinds": "number of {who}"}
