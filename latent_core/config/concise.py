"""Parameters of the flow that self-trains for concise reasoning."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from latent_core.config.base import IDENTITY, RUNTIME, WIRING, StageConfig
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.chat import ChatConfig
from latent_core.config.collect import CollectConfig
from latent_core.config.evaluate import EvaluateOnceConfig
from latent_core.config.prompting import TextFormat
from latent_core.config.runtime import RuntimeConfig, TrainingTrackingConfig
from latent_core.config.sampling import CollectSamplingConfig
from latent_core.config.training import TrainConfig, TrainMethod


class ConciseSamplingConfig(CollectSamplingConfig):
    """The sampling of self-training (arXiv 2502.20122): 16 completions of a question."""

    top_p: Annotated[float, IDENTITY, Field(gt=0, le=1)] = 0.95
    top_k: Annotated[int, IDENTITY, Field(ge=0)] = 40
    """0 keeps all tokens."""
    samples: Annotated[int, IDENTITY, Field(ge=1)] = 16
    """Completions per question."""


class ConciseCollectConfig(CollectConfig):
    """Zero-shot chains of thought of the base model on the training split."""

    sampling: Annotated[ConciseSamplingConfig, IDENTITY] = ConciseSamplingConfig()


class SelectExemplarsConfig(StageConfig):
    """The worked examples that few-shot prompts are drawn from: shortest correct samples of different questions."""

    count: Annotated[int, IDENTITY, Field(ge=1)] = 128
    max_tokens: Annotated[int, IDENTITY, Field(ge=1)] = 510
    """Longest reasoning in the target model's tokens; the paper takes 1022 for MATH."""


class FewShotConfig(StageConfig):
    """Sampling again, with short worked examples before the question."""

    sampling: Annotated[ConciseSamplingConfig, IDENTITY] = ConciseSamplingConfig()
    exemplars: Annotated[SelectExemplarsConfig, IDENTITY] = SelectExemplarsConfig()
    per_prompt: Annotated[int, IDENTITY, Field(ge=1)] = 8
    """Worked examples in one prompt."""
    seed: Annotated[int, IDENTITY, Field(ge=0)] = 42
    """With a question's id, it decides which worked examples the question gets."""

    @model_validator(mode="after")
    def _enough_exemplars(self) -> FewShotConfig:
        if self.exemplars.count <= self.per_prompt:
            raise ValueError(
                f"few_shot.exemplars.count: must exceed per_prompt {self.per_prompt}, "
                "since a question is never its own example"
            )
        return self


class SelectShortestConfig(StageConfig):
    """The samples that become training examples."""

    keep: Annotated[int, IDENTITY, Field(ge=1)] = 1
    """Shortest different correct samples of a question; Sketch-of-Thought distillation keeps 4."""


class PrepareSelectedConfig(StageConfig):
    """From selected samples to training examples."""

    validation_share: Annotated[float, IDENTITY, Field(ge=0, lt=1)] = 0.1
    """Share of the questions held out for validation; all samples of a question stay together."""
    max_length: Annotated[int, IDENTITY, Field(ge=8)] = 4096
    """Longest example in tokens; longer ones are left out and counted."""
    seed: Annotated[int, IDENTITY, Field(ge=0)] = 42


class ConciseTrainConfig(TrainConfig):
    """The paper's fine-tuning: all weights, lr 1e-5, constant, batches of 16; one epoch is a number of steps here."""

    method: Annotated[TrainMethod, IDENTITY] = TrainMethod.FULL
    learning_rate: Annotated[float, IDENTITY, Field(gt=0)] = 1e-5
    warmup_ratio: Annotated[float, IDENTITY, Field(ge=0, lt=1)] = 0.0
    """Share of the steps over which the learning rate rises."""
    steps: Annotated[int, IDENTITY, Field(ge=1)] = 420
    """Optimizer steps; 420 batches of 16 are one epoch over 6,750 questions."""
    batch_size: Annotated[int, IDENTITY, Field(ge=1)] = 16
    """Effective batch size in examples, whatever the devices and micro batches are."""
    micro_batch_size: Annotated[int, RUNTIME, Field(ge=1)] = 16
    """Examples in one forward pass; must divide batch_size."""


class ConciseConfig(StageConfig):
    """Self-training on one's own shortest correct reasoning (arXiv 2502.20122)."""

    model: Annotated[str, WIRING] = "latent-mini"
    """Base model: latent-mini, smollm2, a local directory, or a hub id owner/name[@revision]."""
    chat: Annotated[ChatConfig, WIRING] = ChatConfig()
    """How the model's conversations are read: whether it thinks, and the day its chat template is told."""
    benchmark: Annotated[BenchmarkConfig, WIRING] = BenchmarkConfig()
    text_format: Annotated[TextFormat, IDENTITY] = TextFormat.XML
    """How few-shot prompts, training examples and evaluation write reasoning and answer; zero-shot sampling is boxed,
    the form that models write untaught."""
    collect: Annotated[ConciseCollectConfig, IDENTITY] = ConciseCollectConfig()
    few_shot: Annotated[FewShotConfig | None, IDENTITY] = FewShotConfig()
    """null selects from the zero-shot samples alone, as distilling a way of prompting does."""
    select: Annotated[SelectShortestConfig, IDENTITY] = SelectShortestConfig()
    prepare: Annotated[PrepareSelectedConfig, IDENTITY] = PrepareSelectedConfig()
    train: Annotated[ConciseTrainConfig, IDENTITY] = ConciseTrainConfig()
    evaluate: Annotated[EvaluateOnceConfig, IDENTITY] = EvaluateOnceConfig()
    margin: Annotated[float, IDENTITY, Field(gt=0, lt=1)] = 0.03
    """Share of the questions that the report's claims of non-inferiority must exclude losing."""
    store: Annotated[str, RUNTIME] = ".latent/store"
    """Where artifacts live: a local path or s3://bucket/prefix."""
    runtime: Annotated[RuntimeConfig, RUNTIME] = RuntimeConfig()
    tracking: Annotated[TrainingTrackingConfig, RUNTIME] = TrainingTrackingConfig()

    @model_validator(mode="after")
    def _few_shot_samples_the_model(self) -> ConciseConfig:
        if self.few_shot is not None and not self.collect.samples_model:
            raise ValueError(
                f"few_shot: samples the model again, but collect.source {self.collect.source} samples nothing; set "
                "few_shot: null"
            )
        return self
