"""Parameters of the flow that makes the embedded model latent-mini."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from latent_core.config.base import IDENTITY, RUNTIME, StageConfig
from latent_core.config.runtime import RuntimeConfig, TrackingConfig
from latent_core.config.training import Batching, ComputeType, Schedule, TrainConfig, TrainMethod, WeightType

Difficulties = Annotated[tuple[Annotated[int, Field(ge=1, le=5)], ...], Field(min_length=1)]


class MiniInitConfig(StageConfig):
    """Shape and tokenizer of the untrained model."""

    layers: Annotated[int, IDENTITY, Field(ge=1)] = 5
    hidden: Annotated[int, IDENTITY, Field(ge=64)] = 192
    intermediate: Annotated[int, IDENTITY, Field(ge=64)] = 512
    heads: Annotated[int, IDENTITY, Field(ge=1)] = 3
    key_value_heads: Annotated[int, IDENTITY, Field(ge=1)] = 3
    context: Annotated[int, IDENTITY, Field(ge=128)] = 1024
    vocabulary_size: Annotated[int, IDENTITY, Field(ge=300, le=4096)] = 1024
    """Upper bound; the tokenizer stops earlier when no pair is left to merge."""
    tokenizer_problems: Annotated[int, IDENTITY, Field(ge=10)] = 3000
    difficulties: Annotated[Difficulties, IDENTITY] = (1, 2, 3, 4, 5)
    seed: Annotated[int, IDENTITY, Field(ge=0)] = 0


class MiniCorpusConfig(StageConfig):
    """The worked problems the model is pre-trained on."""

    problems: Annotated[int, IDENTITY, Field(ge=1)] = 40_000
    validation_problems: Annotated[int, IDENTITY, Field(ge=0)] = 200
    difficulties: Annotated[Difficulties, IDENTITY] = (1, 2, 3, 4, 5)


class MiniTrainConfig(TrainConfig):
    """Pre-training from scratch: every weight, a high learning rate that falls to zero."""

    method: Annotated[TrainMethod, IDENTITY] = TrainMethod.FULL
    learning_rate: Annotated[float, IDENTITY, Field(gt=0)] = 2e-3
    schedule: Annotated[Schedule, IDENTITY] = "linear"
    warmup_ratio: Annotated[float, IDENTITY, Field(ge=0, lt=1)] = 0.03
    steps: Annotated[int, IDENTITY, Field(ge=1)] = 2200
    batch_size: Annotated[int, IDENTITY, Field(ge=1)] = 16
    batching: Annotated[Batching, IDENTITY] = "by_length"
    max_length: Annotated[int, IDENTITY, Field(ge=8)] = 1024
    weight_decay: Annotated[float, IDENTITY, Field(ge=0)] = 0.01
    dtype: Annotated[ComputeType, IDENTITY] = "float32"
    save_dtype: Annotated[WeightType, IDENTITY] = "bfloat16"
    micro_batch_size: Annotated[int, RUNTIME, Field(ge=1)] = 16


class MiniConfig(StageConfig):
    """The whole flow: untrained model, corpus, pre-training, accuracy per difficulty."""

    init: Annotated[MiniInitConfig, IDENTITY] = MiniInitConfig()
    corpus: Annotated[MiniCorpusConfig, IDENTITY] = MiniCorpusConfig()
    train: Annotated[MiniTrainConfig, IDENTITY] = MiniTrainConfig()
    test_problems: Annotated[int, IDENTITY, Field(ge=1)] = 500
    """Problems of the test split the finished model is measured on, all difficulties taking turns."""
    store: Annotated[str, RUNTIME] = ".latent/store"
    runtime: Annotated[RuntimeConfig, RUNTIME] = RuntimeConfig()
    tracking: Annotated[TrackingConfig, RUNTIME] = TrackingConfig()
