"""Parameters of agents that act in environments over several turns."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, model_validator

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, StageConfig
from latent_core.config.policy_update import PolicyUpdateConfig
from latent_core.config.ppo import GaeConfig, ValueConfig
from latent_core.config.rollouts import RolloutEngineConfig
from latent_core.config.sampling import SamplingConfig

HELD_OUT = 2**40
"""Instances of evaluations have seeds from here on; those that are trained on have smaller ones."""


_FILTER_RULE = "discounted"  # keep_signal looks at returns as the estimator discounts them


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
    """Games with the seeds 2^40 and the next ones, which training never draws. An environment of few games has met some
    of them under other seeds: the report of `rl` counts these."""
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
    PPO = "ppo"  # arXiv 1707.06347: what tokens bring beyond a learned value, whitened; a mean over all tokens


class AgentRolloutConfig(RolloutEngineConfig):
    """How episodes are drawn from the policy: as it is, without top-p or top-k, which the loss does not know of."""

    samples: Annotated[int, IDENTITY, Field(ge=1)] = 8
    """Episodes of one instance: a group; only ppo can learn from groups of one."""
    max_new_tokens: Annotated[int, IDENTITY, Field(ge=1)] = 256
    """Of one turn."""
    max_episode_tokens: Annotated[int, IDENTITY, Field(ge=8)] = 2048
    """Of an episode, prompt and observations included."""

    @model_validator(mode="after")
    def _turn_fits_into_an_episode(self) -> AgentRolloutConfig:
        if self.max_new_tokens >= self.max_episode_tokens:
            raise ValueError(
                f"agent.rollout.max_episode_tokens: {self.max_episode_tokens} leave no room for a prompt beside a turn "
                f"of max_new_tokens, {self.max_new_tokens}; raise it, or lower max_new_tokens"
            )
        return self


class AgentConfig(PolicyUpdateConfig):
    """Reinforcement learning on episodes in an environment."""

    instances_per_step: Annotated[int, IDENTITY, Field(ge=1)] = 8
    """Games of a step, each played `rollout.samples` times; every step draws new ones."""
    rollout: Annotated[AgentRolloutConfig, IDENTITY] = AgentRolloutConfig()
    rules: Annotated[RulesConfig, IDENTITY] = RulesConfig()
    estimator: Annotated[Estimator, IDENTITY] = Estimator.DR_GRPO
    gamma: Annotated[float, IDENTITY, Field(gt=0, le=1)] = 1.0
    """turn_level and gigpo: discount from turn to turn."""
    gae: Annotated[GaeConfig, IDENTITY, OMITTED_AT_DEFAULT] = GaeConfig()
    """ppo: from rewards and values to advantages."""
    value: Annotated[ValueConfig, IDENTITY, OMITTED_AT_DEFAULT] = ValueConfig()
    """ppo: the value head."""
    latent_only: Annotated[bool, IDENTITY] = False
    """Learn from a dual model's latent tokens and the closing think token alone."""
    placebo: Annotated[bool, IDENTITY] = False
    """Permute the returns within each group: the control that has everything but the signal."""

    def identity(self) -> dict[str, Any]:
        """With a discount, the rule that groups are filtered by is part of it."""
        return super().identity() | ({"filter_rule": _FILTER_RULE} if self.gamma != 1 else {})

    @property
    def episodes_per_step(self) -> int:
        return self.instances_per_step * self.rollout.samples

    @model_validator(mode="after")
    def _values_belong_to_ppo(self) -> AgentConfig:
        if self.estimator is Estimator.PPO:
            check_ppo(self)
            return self
        for name in ("gae", "value"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"agent.{name}: only ppo has values; leave it out, or set agent.estimator to ppo")
        if self.rollout.samples < 2:
            raise ValueError(
                f"agent.rollout.samples: {self.estimator.value} compares the episodes of an instance, so it needs at "
                "least 2; only ppo learns from one"
            )
        return self

    @model_validator(mode="after")
    def _gamma_belongs_to_turns(self) -> AgentConfig:
        if self.gamma != 1 and self.estimator not in (Estimator.TURN_LEVEL, Estimator.GIGPO):
            raise ValueError(
                f"agent.gamma: {self.estimator.value} takes no discount from turn to turn"
                + (" from here; set agent.gae.gamma_turn" if self.estimator is Estimator.PPO else "; leave it 1")
                + ", or take turn_level or gigpo"
            )
        return self

    @model_validator(mode="after")
    def _batches_come_out_even(self) -> AgentConfig:
        self.check_batches("agent", self.episodes_per_step, groups=self.instances_per_step, of="instances_per_step")
        self.rollout.check_processes("agent", self.processes)
        return self

    @model_validator(mode="after")
    def _placebo_permutes_returns(self) -> AgentConfig:
        if self.placebo and self.estimator in (Estimator.TURN_LEVEL, Estimator.GIGPO):
            raise ValueError(
                f"agent.placebo: permutes whole returns, which {self.estimator.value} does not learn from; take "
                "another estimator"
            )
        return self


def check_ppo(config: AgentConfig) -> None:
    """Raises ValueError, naming the field, for settings that have no effect or no meaning with a value head."""
    if config.keep_signal != type(config).model_fields["keep_signal"].default:
        raise ValueError(
            "agent.keep_signal: ppo learns from groups of equal returns too, so it has no filter; leave it out"
        )
    if config.episodes_per_step < 2:
        raise ValueError("agent.instances_per_step: a step of ppo needs at least two episodes")
    if config.value.warmup_steps >= config.steps:
        raise ValueError(
            f"agent.value.warmup_steps: {config.value.warmup_steps} leave none of the {config.steps} steps to the "
            "policy"
        )
    if config.value.warmup_steps % config.iterations:
        raise ValueError(
            f"agent.value.warmup_steps: {config.value.warmup_steps} is no multiple of agent.iterations, "
            f"{config.iterations}, the steps on the same rollouts"
        )
    if config.placebo:
        check_placebo_of_ppo("agent.placebo", config)


def check_placebo_of_ppo(field: str, config: AgentConfig) -> None:
    """Raises ValueError where a placebo, set by `field`, would permute groups of one."""
    if config.estimator is Estimator.PPO and config.rollout.samples < 2:
        raise ValueError(
            f"{field}: permutes rewards within a group, and agent.rollout.samples makes groups of one; take more of "
            "them, or no placebo"
        )
