"""What a benchmark delivers: problems, in a fixed order, from a source whose content is pinned by a fingerprint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from latent_core.errors import InputError
from latent_core.identity import fingerprint


@dataclass(frozen=True)
class Problem:
    """One question; `question_id` is unique within its benchmark and split, `gold` is the answer as a string."""

    question_id: str
    question: str
    gold: str
    rationale: str | None = None
    level: str | None = None


@dataclass(frozen=True)
class ProblemSource:
    """A split of a benchmark. `content` pins what it holds; `count` is None for an endless (procedural) source."""

    name: str
    split: str
    content: str
    count: int | None
    read: Callable[[int, int], list[Problem]]

    @property
    def fingerprint(self) -> str:
        return fingerprint("benchmark", 1, {"name": self.name, "split": self.split, "content": self.content}, {})

    def problems(self, start: int, stop: int) -> list[Problem]:
        """Problems `start` to `stop` (exclusive); raises InputError when the split has fewer."""
        self.check_count("questions", stop)
        return self.read(start, stop)

    def check_count(self, field: str, questions: int) -> None:
        """Raise InputError, naming the parameter, when the split has fewer problems than it asks for."""
        if self.count is not None and questions > self.count:
            raise InputError(
                f"{field}: {self.name} has {self.count} problems in split {self.split!r}, {questions} are needed; "
                f"{f'set it to {self.count} or less' if self.count else 'give another file'}"
            )
