"""The sentences that worked solutions of edition 2 are made of."""

from __future__ import annotations

LEADS = (
    "Let us work through this problem one step at a time.",
    "To solve this problem, we need to follow the story carefully from the beginning.",
    "Okay, so we want to find out {goal}.",
    "We will write down every number of the story and update it after every event.",
)
STARTS = (
    "At the beginning, the {thing} is {value}, so the starting number is {value}.",
    "The story tells us that the {thing} is {value} at the start.",
    "First of all, we know that we begin with {value} {unit}.",
)
PAIR_STARTS = (
    "At the beginning, the {thing} is {x} and the {other_thing} is {y}.",
    "The story tells us that the {thing} is {x}, while the {other_thing} is {y}.",
)
ORDER = ("First", "Next", "After that", "Then", "Finally")
WORKED: dict[str, tuple[str, ...]] = {
    "+": (
        "{order}, {operand} more come in, so the {thing} goes up and we have to add. {equation}. "
        "This means that the {thing} is now {after}.",
        "{order}, we look at the extra {operand} {unit}. Adding them to the {before} that were already there gives "
        "{equation}, so the new number is {after}.",
        "{order}, because {operand} is added to the {before} that we had before, the {thing} becomes {equation}.",
    ),
    "-": (
        "{order}, {operand} go away, so the {thing} goes down and we have to subtract. {equation}. "
        "This means that the {thing} is now {after}.",
        "{order}, we look at the {operand} {unit} that go away. Taking them from the {before} that were already there "
        "gives {equation}, so the new number is {after}.",
        "{order}, because {operand} is taken from the {before} that we had before, the {thing} becomes {equation}.",
    ),
    "*": (
        "{order}, the {thing} becomes {operand} times as large, so we have to multiply. {equation}. "
        "This means that the {thing} is now {after}.",
        "{order}, we see that each of the {before} {unit} counts {operand} times. Multiplying these two numbers gives "
        "{equation}, so the new number is {after}.",
        "{order}, because there is now {operand} times as much as the {before} that we had before, the {thing} "
        "becomes {equation}.",
    ),
    "/": (
        "{order}, it is split into {operand} equal parts and one part counts, so we have to divide. {equation}. "
        "This means that the {thing} is now {after}.",
        "{order}, we share the {before} {unit} fairly between {operand} parts. Dividing these two numbers gives "
        "{equation}, so the new number is {after}.",
        "{order}, because only one of {operand} equal parts is kept from the {before} that we had before, the {thing} "
        "becomes {equation}.",
    ),
    "keep": (
        "{order}, only {fraction} remains, and we find {fraction} of a number when we divide it by {operand}. "
        "{equation}. This means that the {thing} is now {after}.",
        "{order}, we take {fraction} of the {before} {unit}, which is the same as dividing by {operand}. This gives "
        "{equation}, so the new number is {after}.",
    ),
    "part": (
        "{order}, we need {fraction} of the {thing}, and we find {fraction} of a number when we divide it by "
        "{operand}. {equation}. So this part is {after}.",
        "{order}, {fraction} of the {before} {unit} is the same as dividing by {operand}. This gives {equation}, so "
        "the part that goes away is {after}.",
    ),
    "groups": (
        "{order}, there are {before} times {operand} {unit}, so we have to multiply. {equation}. "
        "This means that the {thing} is {after}.",
        "{order}, we count {operand} {unit} for each of the {before}. Multiplying these two numbers gives {equation}, "
        "so the {thing} is {after} at the start.",
    ),
    "price": (
        "{order}, there are {before} {goods} for {operand} dollars each, so we have to multiply. {equation}. "
        "This means that all of them cost {after} dollars.",
        "{order}, we need the price of all {goods}. Multiplying {before} by {operand} gives {equation}, so the price "
        "is {after} dollars.",
    ),
    "total": (
        "{order}, the question is about both together, so we have to add the two numbers. {equation}. "
        "This means that there are {after} in all.",
        "{order}, to find the total we put the {before} and the {operand} together, which gives {equation}.",
    ),
    "difference": (
        "{order}, the question is how many more there are, so we have to subtract the smaller number from the larger "
        "one. {equation}. This means that the difference is {after}.",
        "{order}, to compare both we take the {operand} from the {before}, which gives {equation}.",
    ),
}
CLOSINGS = (
    "There is nothing else that happens in the story, so the {result} at the end is {value}.",
    "That was the last thing that we had to look at, and therefore the {result} is {value}.",
    "Now we have followed every event, which means that the answer to the question is {value}.",
)
