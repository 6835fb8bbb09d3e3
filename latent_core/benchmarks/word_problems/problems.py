"""What a word problem consists of, whichever edition of the generator wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Operation = Literal["+", "-", "*", "/"]


@dataclass(frozen=True)
class Step:
    """One equation of the solution: `before operation operand = after`."""

    operation: Operation
    before: int
    operand: int
    after: int

    @property
    def equation(self) -> str:
        """The step as the solution writes it."""
        return f"{self.before} {self.operation} {self.operand} = {self.after}"


@dataclass(frozen=True)
class WordProblem:
    """A question, its steps, a worked solution in prose, and the answer as an integer."""

    question: str
    steps: tuple[Step, ...]
    solution: str
    answer: int
    given: tuple[int, ...] = ()
    """The numbers that the story starts with, for a short form of the solution; edition 2 only."""
    notes: tuple[str, ...] = ()
    """What happens at each step in a word or two, for the same; edition 2 only."""
