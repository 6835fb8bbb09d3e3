"""In which registers the embedded model reads the same solutions."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from latent_core.config.base import IDENTITY, StageConfig


class Register(StrEnum):
    """How a solution is written, and how it is asked for."""

    VERBOSE = "verbose"  # whole sentences, asked for by the plain question
    EQUATIONS = "equations"  # the equations in a short frame, under the instruction `concise`
    DRAFT = "draft"  # a note and an equation a step, under `chain_of_draft` with its worked examples
    TELEGRAM = "telegram"  # the sentences with some of their words left out at random, under instructions to do so


class RegisterShares(StageConfig):
    """Shares of the examples that are written in each register; they add up to 1. Every problem is written once."""

    verbose: Annotated[float, IDENTITY, Field(ge=0, le=1)] = 0.4
    equations: Annotated[float, IDENTITY, Field(ge=0, le=1)] = 0.2
    draft: Annotated[float, IDENTITY, Field(ge=0, le=1)] = 0.15
    telegram: Annotated[float, IDENTITY, Field(ge=0, le=1)] = 0.25
    least_dropped: Annotated[float, IDENTITY, Field(ge=0, le=1)] = 0.15
    """Telegrams: smallest share of the words that is left out; numbers and operators always stay."""
    most_dropped: Annotated[float, IDENTITY, Field(ge=0, le=1)] = 0.85

    def share(self, register: Register) -> float:
        return float(getattr(self, register.value))

    @model_validator(mode="after")
    def _shares_add_up(self) -> RegisterShares:
        total = sum(self.share(register) for register in Register)
        if abs(total - 1) > 1e-6:
            raise ValueError(f"registers: the shares of the registers add up to {total:g}; make them add up to 1")
        if self.least_dropped > self.most_dropped:
            raise ValueError(
                f"registers: least_dropped {self.least_dropped:g} is more than most_dropped {self.most_dropped:g}; "
                "swap them"
            )
        return self
