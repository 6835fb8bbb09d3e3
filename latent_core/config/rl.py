"""Parameters of the flow `rl`: agents that learn in one environment, over seeds, beside a placebo."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from latent_core.config.agents import AgentConfig, Estimator, LegalPlayConfig, PlayConfig, check_placebo_of_ppo
from latent_core.config.base import IDENTITY, RUNTIME, WIRING, StageConfig
from latent_core.config.chat import ChatConfig
from latent_core.config.runtime import RuntimeConfig, TrainingTrackingConfig
from latent_core.config.training import TrainConfig


class FormatTrainConfig(TrainConfig):
    """Fine-tuning until turns are written as they should be, and no longer."""

    lora_rank: Annotated[int, IDENTITY, Field(ge=1)] = 32
    lora_alpha: Annotated[int, IDENTITY, Field(ge=1)] = 64
    learning_rate: Annotated[float, IDENTITY, Field(gt=0)] = 1e-3
    steps: Annotated[int, IDENTITY, Field(ge=1)] = 60
    """Optimizer steps."""
    batch_size: Annotated[int, IDENTITY, Field(ge=1)] = 16
    """Effective batch size in examples, whatever the devices and micro batches are."""
    eval_every: Annotated[int, IDENTITY, Field(ge=1)] = 20
    """Steps between evaluations on the validation split; the checkpoint with the lowest loss is kept."""
    micro_batch_size: Annotated[int, RUNTIME, Field(ge=1)] = 16
    """Most examples in one forward pass; must divide batch_size. Several processes take as many as come out even."""


class FormatStartConfig(StageConfig):
    """What the start model learns before anything is rewarded: how a turn is written, from random play."""

    play: Annotated[LegalPlayConfig, IDENTITY] = LegalPlayConfig()
    train: Annotated[FormatTrainConfig, IDENTITY] = FormatTrainConfig()


class ReferencePlayConfig(StageConfig):
    """Random play on the instances that models are measured on."""

    instances: Annotated[int, IDENTITY, Field(ge=1)] = 200
    """As in `play`: their seeds are 2^40 and the next ones."""
    samples: Annotated[int, IDENTITY, Field(ge=1)] = 4
    """Episodes of one instance."""
    max_turns: Annotated[int | None, IDENTITY, Field(ge=1)] = None
    """As in `play.rules`."""
    seed: Annotated[int, IDENTITY, Field(ge=0)] = 42
    """Of the choice of actions."""


class RlFlowConfig(StageConfig):
    """Reinforcement learning of a model, dual or not, that acts in an environment over several turns."""

    model: Annotated[str, WIRING] = "latent-mini"
    """Start model: latent-mini, smollm2, a local directory, a hub id owner/name[@revision], train/FINGERPRINT of the
    store, or models:/NAME@ALIAS of the MLflow registry."""
    chat: Annotated[ChatConfig, WIRING] = ChatConfig()
    """How the model's conversations are read: whether it thinks, and the day its chat template is told."""
    environment: Annotated[str, WIRING] = "frozen_lake"
    """What is played, as `latent envs` lists it, or NAME:ARGUMENT for those that take one."""
    format_start: Annotated[FormatStartConfig | None, IDENTITY] = FormatStartConfig()
    """Fine-tuning on random play beforehand; null trains `model` as it is."""
    agent: Annotated[AgentConfig, IDENTITY] = AgentConfig()
    """The training; its seed is each of `seeds` in turn."""
    seeds: Annotated[tuple[int, ...], WIRING, Field(min_length=1)] = (1, 2, 3)
    """Each trains an agent of its own; all start from the same model."""
    placebo: Annotated[bool, WIRING] = True
    """Train a second agent a seed whose returns are permuted within each group: everything but the signal."""
    play: Annotated[PlayConfig, IDENTITY] = PlayConfig()
    """How the start model and every trained one are measured, on seeds that training never draws."""
    play_environment: Annotated[str | None, WIRING] = None
    """Where they are measured, if not in `environment`: for questions of a file or a benchmark another file or split,
    such as static:word_problems@test."""
    store: Annotated[str, RUNTIME] = ".latent/store"
    """Where artifacts live: a local path or s3://bucket/prefix."""
    runtime: Annotated[RuntimeConfig, RUNTIME] = RuntimeConfig()
    tracking: Annotated[TrainingTrackingConfig, RUNTIME] = TrainingTrackingConfig()

    @field_validator("seeds")
    @classmethod
    def _seeds_are_different(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds) or min(seeds, default=0) < 0:
            raise ValueError(f"{list(seeds)} must be different whole numbers from 0 on")
        return seeds

    @model_validator(mode="after")
    def _seeds_and_arms_are_set_here(self) -> RlFlowConfig:
        if "seed" in self.agent.model_fields_set:
            raise ValueError("agent.seed: this flow trains with every one of `seeds`; name them there")
        if self.agent.placebo:
            raise ValueError("agent.placebo: the placebo is an arm beside the agents; set `placebo` instead")
        if self.placebo:
            check_placebo_of_ppo("placebo", self.agent)
        if self.placebo and self.agent.estimator in (Estimator.TURN_LEVEL, Estimator.GIGPO):
            raise ValueError(
                f"placebo: permutes whole returns, which {self.agent.estimator.value} does not learn from; set "
                "placebo to false, or take another agent.estimator"
            )
        return self

    def trained(self, seed: int, *, placebo: bool) -> AgentConfig:
        """The training of one agent."""
        return self.agent.model_copy(update={"seed": seed, "placebo": placebo})
