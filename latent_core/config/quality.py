"""Parameters of the quality score: how much a text makes the base model trust the right answer."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from latent_core.config.base import IDENTITY, RUNTIME, StageConfig
from latent_core.config.training import ComputeType


class QualitySpan(StrEnum):
    """Which tokens of the right answer are scored."""

    ANSWER = "answer"  # what stands in the box
    BOXED = "boxed"  # the box with its content
    AFTER_THINK = "after_think"  # the sentence that states the answer, with the end of the turn


class QualityReduction(StrEnum):
    """How the log-probabilities of the scored tokens become one number."""

    MEAN = "mean"
    SUM = "sum"


class QualityConfig(StageConfig):
    """Log-probability of the right answer after each text, under the base model that reads it."""

    span: Annotated[QualitySpan, IDENTITY] = QualitySpan.ANSWER
    reduction: Annotated[QualityReduction, IDENTITY] = QualityReduction.MEAN
    dtype: Annotated[ComputeType, IDENTITY] = "auto"
    """auto is bfloat16 on a GPU and float32 on a CPU."""
    batch_tokens: Annotated[int, RUNTIME, Field(ge=1)] = 8192
    """Upper bound of tokens read at once."""
