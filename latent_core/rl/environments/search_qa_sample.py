"""A small world of invented people, books, towns and countries: passages about them, questions of one to three hops.

The world is drawn once, from a fixed seed. Every fact stands in one passage only, so that a question of n hops needs n
passages, as in HotpotQA (Yang et al. 2018, arXiv 1809.09600).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

_START = (
    "Bel",
    "Cor",
    "Dan",
    "Fen",
    "Gar",
    "Hol",
    "Jun",
    "Kar",
    "Lor",
    "Mor",
    "Nev",
    "Oss",
    "Pel",
    "Quin",
    "Ros",
    "Tam",
)
_MIDDLE = ("a", "e", "i", "o", "u", "an", "el", "in", "or")
_PERSON, _TOWN, _COUNTRY = (
    ("dra", "lin", "ric", "sta", "vin"),
    ("burg", "field", "ford", "mouth"),
    ("land", "mark", "ia"),
)
_TRADES = ("astronomer", "baker", "botanist", "carpenter", "painter", "surgeon", "teacher", "weaver")
_RIVERS = ("Aln", "Brake", "Cind", "Dorl", "Esk", "Farn", "Glim", "Hurn")
_THINGS = ("Bell", "Bridge", "Clock", "Garden", "Harbour", "Lantern", "Mirror", "Orchard", "Winter", "Window")
_KINDS = ("Blue", "Broken", "Hidden", "Last", "Long", "Quiet", "Seventh", "Silver", "Stone", "Third")
COUNTRIES, TOWNS, PEOPLE = 8, 24, 60


@dataclass(frozen=True)
class Passage:
    title: str
    text: str


@dataclass(frozen=True)
class Question:
    """Any of `answers` is right."""

    text: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class World:
    passages: tuple[Passage, ...]
    questions: tuple[Question, ...]


@cache
def sample_world() -> World:
    """A passage for each country, town, person and book, and all questions about them."""
    draw = random.Random("search_qa/1")
    used: set[str] = set()
    countries = [_name(draw, _COUNTRY, used) for _ in range(COUNTRIES)]
    towns = [_name(draw, _TOWN, used) for _ in range(TOWNS)]
    people = [f"{_name(draw, _PERSON, used)} {_name(draw, _PERSON, used)}" for _ in range(PEOPLE)]
    titles = [f"The {kind} {thing}" for kind in _KINDS for thing in _THINGS]
    draw.shuffle(titles)
    passages, questions = [], []
    capitals = dict(zip(countries, towns, strict=False))
    rivers = dict(zip(countries, _RIVERS, strict=True))
    for country in countries:
        text = (
            f"{country} is a country. Its capital is {capitals[country]}. Its longest river is the {rivers[country]}."
        )
        passages.append(Passage(country, text))
    country_of = {town: countries[place % COUNTRIES] for place, town in enumerate(towns)}
    for town in towns:
        country = country_of[town]
        text = f"{town} is a town in {country}. Its market has been held since {draw.randint(1200, 1800)}."
        passages.append(Passage(town, text))
        questions.append(
            Question(f"What is the longest river of the country in which {town} lies?", (rivers[country],))
        )
    for person, book in zip(people, titles, strict=False):
        town, trade, year = draw.choice(towns), draw.choice(_TRADES), draw.randint(1700, 1950)
        passages.append(Passage(person, f"{person} was a {trade}, born in {year} in {town}."))
        published = year + draw.randint(20, 60)
        passages.append(Passage(book, f"{book} is a novel by {person}. It was published in {published}."))
        country = country_of[town]
        questions += [
            Question(f"In which town was {person} born?", (town,)),
            Question(f"What was the trade of the author of {book}?", (trade,)),
            Question(f"In which town was the author of {book} born?", (town,)),
            Question(f"In which country was {person} born?", (country,)),
            Question(f"In which country was the author of {book} born?", (country,)),
            Question(f"What is the capital of the country in which {person} was born?", (capitals[country],)),
        ]
    draw.shuffle(questions)
    return World(tuple(passages), tuple(questions))


def _name(draw: random.Random, ends: tuple[str, ...], used: set[str]) -> str:
    """A name that is not used yet."""
    while (name := draw.choice(_START) + draw.choice(_MIDDLE) + draw.choice(ends)) in used:
        pass
    used.add(name)
    return name
