"""Parameters of agents that act in environments over several turns."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from latent_core.config.base import IDENTITY, RUNTIME, StageConfig
from latent_core.config.policy_update import PolicyUpdateConfig
from latent_core.config.sampling import SamplingConfig

HELD_OUT = 2**40
"""Instances of evaluations have seeds from here on; those that are trained on have smaller ones."""


class TurnSampling(SamplingConfig):
    """How the words of a turn are drawn: as they are trained, without top-p or top-k."""

    temperature: Annotated[float, IDENTITY, Field(ge=0, le=5)] = 1.0
    max_new_tokens: Annotated[int, IDENTITY, Field(ge=1)] = 256
    """Of one turn."""


class RulesConfig(StageConfig):
    """What holds in every episode, whoever plays and for whatever reason."""

    max_turns: Annotated[int | None, IDENTITY, Field(ge=1)] = None
    """Turns of the model; unset, as many as the environment has actions."""
    format_penalty: Annotated[float, IDENTITY, Field(gt=0)] = 0.1
    """How far below the worst legal return an episode ends whose format is wrong."""


class PlayConfig(StageConfig):
    """How a model is measured in an environment: one episode or several on each of some instances."""

    instances: Annotated[int, IDENTITY, Field(ge=1)] = 200
    """Games that training never sees: their seeds are 2^40 and the next ones."""
    rules: Annotated[RulesConfig, IDENTITY] = RulesConfig()
    sampling: Annotated[TurnSampling, IDENTITY] = TurnSampling()


class LegalPlayConfig(StageConfig):
    """Episodes of random legal actions: they teach how a turn is written, and nothing about which action is good."""

    episodes: Annotated[int, IDENTITY, Field(ge=1)] = 500
    validation_episodes: Annotated[int, IDENTITY, Field(ge=0)] = 50
    seed: Annotated[int, IDENTITY, Field(ge=0)] = 42
    """Of the choice of actions; instances have the seeds 0, 1, 2 and so on."""
    max_length: Annotated[int, IDENTITY, Field(ge=8)] = 4096
    """Longest episode in tokens; longer ones are left out and counted."""


class Estimator(StrEnum):
    """How rewards become advantages, and how tokens are averaged in the loss."""

    DR_GRPO = "dr_grpo"  # arXiv 2503.20783: the return less the group's mean; token sums over a constant length
    GRPO = "grpo"  # arXiv 2402.03300: also over the group's standard deviation; a mean a sequence
    DAPO = "dapo"  # arXiv 2503.14476: as grpo, with a mean over all tokens of the step
    RLOO = "rloo"  # arXiv 2402.14740: the return less the mean of the others
    TURN_LEVEL = "turn_level"  # a turn's return-to-go, over the group's at the same turn
    GIGPO = "gigpo"  # arXiv 2505.10978: the return, and turns that began in the same state


class AgentRolloutConfig(StageConfig):
    """How episodes are drawn from the policy: as it is, without top-p or top-k, which the loss does not know of."""

    temperature: Annotated[float, IDENTITY, Field(gt=0, le=5)] = 1.0
    samples: Annotated[int, IDENTITY, Field(ge=2)] = 8
    """Episodes of one instance: a group."""
    max_new_tokens: Annotated[int, IDENTITY, Field(ge=1)] = 256
    """Of one turn."""
    max_episode_tokens: Annotated[int, IDENTITY, Field(ge=8)] = 2048
    """Of an episode, prompt and observations included."""
    batch_tokens: Annotated[int, RUNTIME, Field(ge=1)] = 32_768
    """Upper bound of (prompt + new) tokens held at once while generating."""


class AgentConfig(PolicyUpdateConfig):
    """Reinforcement learning on episodes in an environment."""

    instances_per_step: Annotated[int, IDENTITY, Field(ge=1)] = 8
    """Games of a step, each played `rollout.samples` times; every step draws new ones."""
    rollout: Annotated[AgentRolloutConfig, IDENTITY] = AgentRolloutConfig()
    rules: Annotated[RulesConfig, IDENTITY] = RulesConfig()
    estimator: Annotated[Estimator, IDENTITY] = Estimator.DR_GRPO
    gamma: Annotated[float, IDENTITY, Field(gt=0, le=1)] = 1.0
    """turn_level and gigpo: discount from turn to turn."""
    latent_only: Annotated[bool, IDENTITY] = False
    """Learn from a dual model's latent tokens and the closing think token alone."""
    placebo: Annotated[bool, IDENTITY] = False
    """Permute the returns within each group: the control that has everything but the signal."""

    @property
    def episodes_per_step(self) -> int:
        return self.instances_per_step * self.rollout.samples

    @model_validator(mode="after")
    def _batches_come_out_even(self) -> AgentConfig:
        self.check_batches("agent", self.episodes_per_step, groups=self.instances_per_step, of="instances_per_step")
        return self

    @model_validator(mode="after")
    def _placebo_permutes_returns(self) -> AgentConfig:
        if self.placebo and self.estimator in (Estimator.TURN_LEVEL, Estimator.GIGPO):
            raise ValueError(
                f"agent.placebo: permutes whole returns, which {self.estimator.value} does not learn from; take "
                "another estimator"
            )
        return self
