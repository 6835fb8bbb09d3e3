"""Which problems a run trains and tests on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from latent_core.config.base import WIRING, StageConfig

Generator = Literal[1, 2]


class BenchmarkConfig(StageConfig):
    """A benchmark by name. Its problems enter identities by content, so that paths do not matter."""

    name: Annotated[str, WIRING] = "word_problems"
    """word_problems (built in), gsm8k, math, math500, metamathqa, mmlu, reasoning_gym:TASK, or file:PATH (columns
    question, gold), which is short for file with that test_path."""
    difficulties: Annotated[tuple[Annotated[int, Field(ge=1, le=5)], ...], WIRING, Field(min_length=1)] = (1, 2, 3)
    """word_problems only: numbers of steps, taking turns."""
    generator: Annotated[Generator, WIRING] = 2
    """word_problems only: edition of its generator. 1 tells of one quantity that changes; 2, which latent-mini was
    trained on, adds stories of two quantities, units, fractions and percentages."""
    train_path: Annotated[str | None, WIRING] = None
    """Local .jsonl or .parquet file to read the training split from, instead of the hub."""
    test_path: Annotated[str | None, WIRING] = None
    """Local file to read the test split from."""
    drop_contaminated: Annotated[bool, WIRING] = False
    """Leave out test questions that the training split of the same benchmark holds, or shares 13 words running."""

    @model_validator(mode="before")
    @classmethod
    def _name_with_a_path(cls, fields: Any) -> Any:
        """Read file:PATH; the path is no part of the name, since problems are identified by their content."""
        name = fields.get("name") if isinstance(fields, dict) else None
        if not isinstance(name, str) or not name.startswith("file:"):
            return fields
        path = name.removeprefix("file:")
        if fields.get("test_path") not in (None, path):
            raise ValueError(f"benchmark.name: {name} and test_path {fields['test_path']} name two files; give one")
        return {**fields, "name": "file", "test_path": path}
