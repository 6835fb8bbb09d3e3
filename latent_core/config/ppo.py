"""Parameters of proximal policy optimisation: how rewards become advantages, and the head that tells values."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from latent_core.config.base import IDENTITY, StageConfig


class GaeConfig(StageConfig):
    """Bi-level generalised advantage estimation (VAGEN, arXiv 2510.16907). With all four at 1 an advantage is what an
    episode still brings less the value: right on average whatever the head says, and as noisy as returns are."""

    gamma_turn: Annotated[float, IDENTITY, Field(ge=0, le=1)] = 1.0
    """Discount from turn to turn."""
    lambda_turn: Annotated[float, IDENTITY, Field(ge=0, le=1)] = 1.0
    """From turn to turn: 1 believes the rewards that came, 0 the value of the next turn alone."""
    gamma_token: Annotated[float, IDENTITY, Field(ge=0, le=1)] = 1.0
    """Discount from token to token within a turn."""
    lambda_token: Annotated[float, IDENTITY, Field(ge=0, le=1)] = 1.0
    """The same within a turn."""


class ValueConfig(StageConfig):
    """The value head: what an episode still brings, read off the policy's hidden states, which it does not move."""

    units: Annotated[int, IDENTITY, Field(ge=0)] = 64
    """Of its hidden layer; 0 makes it linear."""
    learning_rate: Annotated[float, IDENTITY, Field(gt=0)] = 1e-3
    """Of an Adam of its own; there is no weight beside the policy's loss, since the two share no parameter."""
    updates: Annotated[int, IDENTITY, Field(ge=1)] = 8
    """Its optimizer steps on the tokens of each step's rollouts."""
    clip: Annotated[float | None, IDENTITY, Field(gt=0)] = None
    """How far a value may move on one step's rollouts before moving further earns nothing, in units of the return;
    null bounds nothing (clipping hurt in the comparison of arXiv 2006.05990)."""
    warmup_steps: Annotated[int, IDENTITY, Field(ge=0)] = 0
    """First optimizer steps in which the head learns alone and the policy stays as it is."""
