"""The texts of noise: what stands around a question and has nothing to do with it."""

from __future__ import annotations

import random

INSTRUCTIONS_BEFORE = (
    "Read the text below carefully.",
    "Here is a problem for you.",
    "Please solve the following problem.",
    "Answer the question at the end.",
    "Question:",
    "Problem:",
    "Look at this story.",
    "Can you help me with my homework?",
    "Hello, I have a question for you.",
    "You are a patient teacher.",
    "Work on this task:",
    "This one is for class 3.",
    "Task 7:",
    "Now the next problem.",
    "Try to find the answer.",
    "I do not understand this problem.",
)
INSTRUCTIONS_AFTER = (
    "Think carefully.",
    "Show your work, please.",
    "Take your time.",
    "Please answer in English.",
    "Thank you very much!",
    "Thanks.",
    "Check the answer at the end.",
    "Do not guess.",
    "Write clearly.",
    "Explain it to a child.",
    "Solve it step by step.",
    "What is the answer?",
    "Please help me.",
    "Use only numbers from the story.",
    "This is important for me.",
    "Good luck!",
)
REMARKS = (
    "The sun shines on that day.",
    "It is cold outside.",
    "A bird sings in the tree.",
    "The bus with number {n} drives by.",
    "A dog sleeps under the table.",
    "The house next door has {n} windows.",
    "The radio plays a song from {year}.",
    "A red car stands in front of the door.",
    "The teacher wears a green hat.",
    "{name} likes to sing.",
    "{name} lives in a house with number {n}.",
    "A neighbour is {n} years old.",
    "The train to the city leaves at {hour}.",
    "The book on the shelf has {n} pages.",
    "A newspaper costs {n} cents.",
    "The cat of {name} is black.",
    "On the wall there is a map.",
    "The street is {n} metres long.",
    "Yesterday it was raining.",
    "Room {n} is empty.",
    "The shop opens at {hour}.",
    "{name} has a brother and a sister.",
    "The {word} of the {word} is {word}.",
    "A {word} {word} stands near the {word}.",
    "The {word} behind the {word} was built in {year}.",
    "No one has seen the {word} {word}.",
    "{name}, who speaks {word}, comes from {word}.",
    "Somewhere a {word} makes a {word} noise.",
    "The {word} has {n} {word} on its {word}.",
    "In the evening the {word} turns {word}.",
    "Number {n} of the {word} was lost long ago.",
    "A letter from {word} tells of {n} {word}.",
    "Later they talk about a {word} from {year}.",
    "The {word} says that the {word} will be {word}.",
    "Outside, {n} people wait for the {word}.",
    "Most of the {word} smells like {word}.",
    "The {word} rings at {hour}.",
    "{name} reads about the {word} of {year}.",
    "{name}, {n} years old, draws a {word}.",
    "It was a {word} and {word} morning.",
    "Everybody likes the {word} with the {word} {word}.",
    "The film about {n} {word} begins at {hour}.",
)
HELD_OUT_REMARKS = (
    "Meanwhile a phone rings in another room.",
    "The old clock over the fireplace shows {hour}.",
    "A poster announces a concert of {n} musicians.",
    "Nobody noticed the smell of fresh coffee.",
    "The weather report promised clouds for the weekend.",
    "{name}, who is {n} years older, studies history abroad.",
    "Page {n} of the album is missing.",
    "The carpet was woven in {year}.",
)
MARKS = (
    "!", "!!", "!!!", "?", "??", "?!", "...", "..", ".", "-", "--", "---", "*", "**", "***", "#", "##", "###", ":)",
    ";)", ":", ";", "[]", "()", "{}", "<>", "//", "|", "||", "==", "=", "~", "^", "_", "__", "&", "@", "+", "$",
    "<br>", "[ ]", "(?)", '""', "''", "``", ">>", "<<",
)  # fmt: skip
LABELS = (
    "Topic", "Mood", "Class", "Group", "Name", "Source", "Colour", "Place", "Author", "Subject", "Note", "Item", "Code",
    "Type", "Page", "Part", "Room", "Team", "Price", "Number", "Tag", "Day", "Weather", "Language",
)  # fmt: skip
VALUES = (
    "school", "calm", "blue", "green", "sunny", "easy", "daily life", "a story", "the blue team", "home", "red", "open",
    "friendly", "new", "old", "cold", "free", "good", "yes", "no", "none", "maths", "two friends", "as always", "later",
)  # fmt: skip
BETWEEN_MARKS = (
    "thanks",
    "next",
    "ok",
    "go on",
    "hello",
    "please",
    "well",
    "yes",
    "now you",
    "your turn",
    "begin",
    "so",
)
HELD_OUT_PHRASES = (
    "Ratio: half.",
    "Ratio: two thirds.",
    "Scale: medium.",
    "Share: most.",
    "Budget: moderate.",
    "Version: final.",
)
NAMES = ("Carla", "Otto", "Henry", "Julia", "Oscar", "Vera")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October")
_CONSONANTS = "bcdfghjklmnpqrstvwxyz"
_VOWELS = "aeiouy"


def filled(template: str, draw: random.Random) -> str:
    """A remark with its number, year, hour and name, and a word without a meaning in each place for one."""
    parts = template.split("{word}")
    words = [invented_word(draw) for _ in parts[1:]]
    template = parts[0] + "".join(f"{word}{part}" for word, part in zip(words, parts[1:], strict=True))
    return template.format(
        n=draw.randint(2, 99),
        year=draw.randint(1900, 2030),
        hour=f"{draw.randint(0, 23)}:{draw.randint(0, 59):02}",
        name=draw.choice(NAMES),
    )


def invented_word(draw: random.Random) -> str:
    """A word of one to three syllables that means nothing."""
    syllables = [
        draw.choice(_CONSONANTS) + draw.choice(_VOWELS) + draw.choice(("", "", draw.choice(_CONSONANTS)))
        for _ in range(draw.randint(1, 3))
    ]
    return "".join(syllables)


def bare_number(draw: random.Random) -> str:
    """A price, a code, a time or a plain number; never one between 0 and 1, and never a date."""
    match draw.randrange(6):
        case 0:
            return f"{draw.randint(1, 99)}.{draw.randint(0, 99):02}"
        case 1:
            return f"${draw.randint(1, 500)}"
        case 2:
            return f"{draw.randint(0, 23)}:{draw.randint(0, 59):02}"
        case 3:
            return str(draw.randint(1000, 999999))
        case 4:
            return f"{draw.randint(1, 99)}.{draw.randint(0, 9)}"
        case _:
            return str(draw.randint(1, 999))


def date(draw: random.Random) -> str:
    """A day of the last or next years, in one of the usual forms."""
    day, month, year = draw.randint(1, 28), draw.randint(1, len(MONTHS)), draw.randint(1990, 2030)
    return draw.choice(
        (f"{year}-{month:02}-{day:02}", f"{day} {MONTHS[month - 1]} {year}", f"{day:02}/{month:02}/{year}")
    )
