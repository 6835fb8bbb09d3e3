"""Texts with what they solve: chains of thought, their questions and the answers that they must reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from latent_core.errors import InputError


class Solutions(NamedTuple):
    """Worked solutions, their questions and their gold answers, one of each a problem."""

    texts: Sequence[str]
    questions: Sequence[str]
    golds: Sequence[str]

    def each(self) -> Iterator[tuple[str, str, str]]:
        """(text, question, gold) by (text, question, gold); raises InputError when they differ in number."""
        texts, questions, golds = self
        if not len(texts) == len(questions) == len(golds):
            raise InputError(
                f"questions, golds: {len(questions)} questions and {len(golds)} answers for {len(texts)} texts; give "
                "each text one of both"
            )
        return zip(texts, questions, golds, strict=True)
