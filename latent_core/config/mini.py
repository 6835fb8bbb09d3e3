"""Parameters of the flow that makes the embedded model latent-mini."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, RUNTIME, WIRING, StageConfig
from latent_core.config.benchmark import Generator
from latent_core.config.registers import RegisterShares
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
    registers: Annotated[RegisterShares | None, IDENTITY, OMITTED_AT_DEFAULT] = None
    """In which registers the solutions are written; unset, all in whole sentences."""
    noise: Annotated[float, IDENTITY, OMITTED_AT_DEFAULT, Field(ge=0, le=1)] = 0.0
    """Share of the examples whose question carries one or two kinds of noise (instructions, remarks, marks)."""
    processes: Annotated[int | None, RUNTIME, Field(ge=1)] = None
    """Processes that write the examples; unset is one for each CPU, and one alone for a few thousand problems."""


class MiniRecipeConfig(MiniCorpusConfig):
    """The same with the defaults of latent-mini's second edition: more problems, four registers, noise."""

    problems: Annotated[int, IDENTITY, Field(ge=1)] = 640_000
    validation_problems: Annotated[int, IDENTITY, Field(ge=0)] = 1_000
    registers: Annotated[RegisterShares | None, IDENTITY] = RegisterShares()
    """In which registers the solutions are written; null: all in whole sentences."""
    noise: Annotated[float, IDENTITY, Field(ge=0, le=1)] = 0.5
    """Share of the examples whose question carries one or two kinds of noise (instructions, remarks, marks)."""

    def identity(self) -> dict[str, Any]:
        """As the base class has it: what it leaves out at its own defaults is left out here."""
        return MiniCorpusConfig.model_validate(self.model_dump()).identity()


class MiniTrainConfig(TrainConfig):
    """Pre-training from scratch: every weight, a high learning rate that falls to zero. Minutes on one GPU."""

    method: Annotated[TrainMethod, IDENTITY] = TrainMethod.FULL
    learning_rate: Annotated[float, IDENTITY, Field(gt=0)] = 3e-3
    schedule: Annotated[Schedule, IDENTITY] = "linear"
    warmup_ratio: Annotated[float, IDENTITY, Field(ge=0, lt=1)] = 0.03
    steps: Annotated[int, IDENTITY, Field(ge=1)] = 2500
    batch_size: Annotated[int, IDENTITY, Field(ge=1)] = 256
    batching: Annotated[Batching, IDENTITY] = "by_length"
    max_length: Annotated[int, IDENTITY, Field(ge=8)] = 1024
    weight_decay: Annotated[float, IDENTITY, Field(ge=0)] = 0.01
    eval_every: Annotated[int, IDENTITY, Field(ge=1)] = 500
    dtype: Annotated[ComputeType, IDENTITY] = "bfloat16"
    save_dtype: Annotated[WeightType, IDENTITY] = "bfloat16"
    micro_batch_size: Annotated[int, RUNTIME, Field(ge=1)] = 256
    save_every: Annotated[int, RUNTIME, Field(ge=1)] = 500


class MiniConfig(StageConfig):
    """The whole flow: untrained model, corpus, pre-training, and what the finished model can do."""

    generator: Annotated[Generator, WIRING] = 2
    """Edition of the generator of word problems."""
    initial: Annotated[str | None, WIRING] = None
    """A model to train further: train/FINGERPRINT, or a directory. Unset, the untrained one that init describes."""
    init: Annotated[MiniInitConfig, IDENTITY] = MiniInitConfig()
    corpus: Annotated[MiniRecipeConfig, IDENTITY] = MiniRecipeConfig()
    train: Annotated[MiniTrainConfig, IDENTITY] = MiniTrainConfig()
    test_problems: Annotated[int, IDENTITY, Field(ge=1)] = 1000
    """Problems of the test split the finished model is measured on, all difficulties taking turns."""
    noise_problems: Annotated[int, IDENTITY, Field(ge=0)] = 500
    """Problems it is measured on under each kind of noise; 0 leaves noise out."""
    store: Annotated[str, RUNTIME] = ".latent/store"
    runtime: Annotated[RuntimeConfig, RUNTIME] = RuntimeConfig()
    tracking: Annotated[TrackingConfig, RUNTIME] = TrackingConfig()
