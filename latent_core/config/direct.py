"""Parameters of the flow that fine-tunes on answers alone."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from latent_core.config.base import IDENTITY, RUNTIME, WIRING, StageConfig
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.chat import ChatConfig
from latent_core.config.evaluate import EvaluateOnceConfig
from latent_core.config.runtime import RuntimeConfig, TrainingTrackingConfig
from latent_core.config.training import TrainConfig


class DirectExamplesConfig(StageConfig):
    """Questions and gold answers of the training split, without any reasoning."""

    questions: Annotated[int, IDENTITY, Field(ge=1)] = 7000
    """How many training problems."""
    validation_share: Annotated[float, IDENTITY, Field(ge=0, lt=1)] = 0.1
    """Share of the questions held out for validation."""
    max_length: Annotated[int, IDENTITY, Field(ge=8)] = 4096
    """Longest example in tokens; longer ones are left out and counted."""
    seed: Annotated[int, IDENTITY, Field(ge=0)] = 42


class DirectConfig(StageConfig):
    """Fine-tuning on answers alone: what a model reaches without writing any reasoning."""

    model: Annotated[str, WIRING] = "latent-mini"
    """Base model: latent-mini, smollm2, a local directory, or a hub id owner/name[@revision]."""
    chat: Annotated[ChatConfig, WIRING] = ChatConfig()
    """How the model's conversations are read: whether it thinks, and the day its chat template is told."""
    benchmark: Annotated[BenchmarkConfig, WIRING] = BenchmarkConfig()
    prepare: Annotated[DirectExamplesConfig, IDENTITY] = DirectExamplesConfig()
    train: Annotated[TrainConfig, IDENTITY] = TrainConfig()
    evaluate: Annotated[EvaluateOnceConfig, IDENTITY] = EvaluateOnceConfig()
    margin: Annotated[float, IDENTITY, Field(gt=0, lt=1)] = 0.03
    """Share of the questions that the report's claims of non-inferiority must exclude losing."""
    store: Annotated[str, RUNTIME] = ".latent/store"
    """Where artifacts live: a local path or s3://bucket/prefix."""
    runtime: Annotated[RuntimeConfig, RUNTIME] = RuntimeConfig()
    tracking: Annotated[TrainingTrackingConfig, RUNTIME] = TrainingTrackingConfig()
