"""Parameters of agents that act in environments over several turns."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from latent_core.config.base import IDENTITY, StageConfig
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
