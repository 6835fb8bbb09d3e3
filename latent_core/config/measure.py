"""Parameters of measuring what compressions keep."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from latent_core.config.base import IDENTITY, StageConfig


class MeasureCompressionsConfig(StageConfig):
    """Measures of compressed chains of thought, by ratio."""

    questions: Annotated[int | None, IDENTITY, Field(ge=1)] = None
    """How many of the questions with compressions are measured, from the first on; all where it is left out."""
