"""Parameters of fine-tuning on gold rationales before collection."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from latent_core.config.base import IDENTITY, StageConfig
from latent_core.config.training import TrainConfig


class WarmStartConfig(StageConfig):
    """Fine-tuning on gold rationales before collection, for a base model that cannot solve the benchmark yet."""

    questions: Annotated[int, IDENTITY, Field(ge=1)] = 7000
    validation_share: Annotated[float, IDENTITY, Field(ge=0, lt=1)] = 0.05
    train: Annotated[TrainConfig, IDENTITY] = TrainConfig()
