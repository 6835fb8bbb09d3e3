"""Parameters of chains of thought that are already there: which columns hold them, and how they are read and graded."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from latent_core.config.base import IDENTITY, WIRING, StageConfig

MODEL = "model"
FILE_PREFIX, HUB_PREFIX = "file:", "hub:"


class Unmarked(StrEnum):
    """What a completion without any think mark is."""

    SOLUTION = "solution"  # reasoning, up to the statement of its answer
    CUT = "cut"  # the output of a thinking model that was cut before it came to its answer


class ChainGrading(StrEnum):
    """How chains of thought are judged."""

    MATHEMATICS = "mathematics"
    LETTER = "letter"
    TRUSTED = "trusted"  # not at all: every finished chain counts as correct


class ChainColumns(StageConfig):
    """The columns of a table of chains of thought, by what they hold."""

    question: Annotated[str, IDENTITY, Field(min_length=1)]
    """Text, or a chat, of which the last message of the role user counts."""
    completion: Annotated[str | None, IDENTITY, Field(min_length=1)] = None
    """What a model wrote, reasoning and answer; or a list of such texts, a solution each."""
    reasoning: Annotated[str | None, IDENTITY, Field(min_length=1)] = None
    """The reasoning, where it has a column of its own; `completion` then holds what was said after it."""
    answer: Annotated[str | None, IDENTITY, Field(min_length=1)] = None
    """The right answer, or a text that ends in it."""
    id: Annotated[str | None, IDENTITY, Field(min_length=1)] = None
    """Names the question; an end `_s3` is the number of a sample."""
    sample: Annotated[str | None, IDENTITY, Field(min_length=1)] = None
    """The number of a sample among those of its question."""

    @model_validator(mode="after")
    def _some_column_reasons(self) -> ChainColumns:
        if self.completion is None and self.reasoning is None:
            raise ValueError("completion: name the column that holds the chains of thought (or reasoning)")
        return self

    def named(self) -> dict[str, str]:
        """The columns that are set, by what they hold."""
        return {role: str(column) for role, column in self if column is not None}


class ChainsConfig(StageConfig):
    """How the chains of thought of `collect.source` are read, where that is a file or a data set."""

    columns: Annotated[ChainColumns | None, WIRING] = None
    """Which column holds what; unset for tables whose columns are known (OpenR1-Math, NuminaMath, s1K and others)."""
    subset: Annotated[str | None, WIRING] = None
    """hub: only: the configuration of a data set that has several."""
    split: Annotated[str, WIRING, Field(min_length=1)] = "train"
    """hub: only: the split."""
    rows: Annotated[int | None, WIRING, Field(ge=1)] = None
    """Read the first so many rows; unset reads all."""
    unmarked: Annotated[Unmarked, WIRING] = Unmarked.SOLUTION
    """What a completion without think marks is: a solution that ends in its answer, or the cut output of a thinking
    model, whose mark was opened in the prompt."""
    grading: Annotated[ChainGrading, WIRING] = ChainGrading.MATHEMATICS
    """mathematics and letter compare with the right answer; trusted takes every finished chain for correct."""
    shard_rows: Annotated[int, WIRING, Field(ge=1)] = 2000
    """Rows per shard: the unit of grading and compression that is retried, cached and held in memory."""

    @model_validator(mode="after")
    def _grading_needs_answers(self) -> ChainsConfig:
        if self.columns is not None and self.columns.answer is None and self.grading is not ChainGrading.TRUSTED:
            raise ValueError(
                "columns.answer: is not set, and grading compares with right answers; name their column, or set "
                "grading: trusted"
            )
        return self
