"""Parameters of rewards that ask for a length of reasoning."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, model_validator

from latent_core.config.base import IDENTITY, WIRING, StageConfig
from latent_core.config.sampling import SamplingConfig


class LengthReward(StrEnum):
    """What is added to a correct answer's reward for the length of its reasoning: see `latent_core.rl.lengths`."""

    NONE = "none"
    LCPO_EXACT = "lcpo_exact"  # less the deviation from the target, whether the answer is correct or not
    LCPO_MAX = "lcpo_max"  # of correct answers, the more the fewer tokens below the ratio
    GATED = "gated"  # less the deviation from the target, of correct answers alone
    HMPO = "hmpo"  # of correct answers that are longer than the group's median one, less by a cosine; has no target


_WEIGHT = ("alpha", "tolerance", "rate")  # fields that HMPO, a product, has no use for


class LengthConfig(StageConfig):
    """A length term in the reward. Lengths are reasoning tokens; targets are those of the start model."""

    reward: Annotated[LengthReward, IDENTITY] = LengthReward.NONE
    """none, lcpo_exact, lcpo_max, gated or hmpo."""
    alpha: Annotated[float, IDENTITY, Field(ge=0)] = 0.3
    """Weight of the length term, of the first step if `rate` is above 0."""
    tolerance: Annotated[float, IDENTITY, Field(ge=0)] = 0.1
    """Mean deviation, as a share of the length at ratio 1, at which the weight stays as it is."""
    rate: Annotated[float, IDENTITY, Field(ge=0)] = 0.0
    """How much the weight changes after a step for each unit of mean deviation beyond the tolerance (dual ascent); 0
    keeps it fixed."""
    reference_samples: Annotated[int, WIRING, Field(ge=1)] = 4
    """Completions of each training question by the start model, at ratio 1, that its target is measured on. They are
    sampled as rollouts are."""

    @property
    def is_on(self) -> bool:
        return self.reward is not LengthReward.NONE

    def identity(self) -> dict[str, Any]:
        """Without what counts for nothing: the weight of hmpo, the tolerance of a fixed weight."""
        unused = _WEIGHT if self.reward is LengthReward.HMPO else () if self.rate > 0 else ("tolerance",)
        return {name: value for name, value in super().identity().items() if name not in unused}

    @model_validator(mode="after")
    def _says_something(self) -> LengthConfig:
        fields = type(self).model_fields
        changed = [name for name in fields if getattr(self, name) != fields[name].get_default()]
        if not self.is_on and changed:
            raise ValueError(f"grpo.length.{changed[0]}: has no effect without a length term; set grpo.length.reward")
        if self.reward is LengthReward.HMPO and (found := [name for name in changed if name in _WEIGHT]):
            raise ValueError(f"grpo.length.{found[0]}: hmpo has no weight; leave it out")
        if self.reward is LengthReward.LCPO_MAX and self.rate > 0:
            raise ValueError(
                "grpo.length.rate: lcpo_max only shortens, so no weight of it holds a length; leave the rate 0, or "
                "take gated or lcpo_exact"
            )
        if self.is_on and self.reward is not LengthReward.HMPO and self.alpha == self.rate == 0:
            raise ValueError("grpo.length.alpha: is 0 and stays so, which asks for no length; raise it, or set a rate")
        return self


class ReferenceLengths(StageConfig):
    """How the lengths that targets are shares of are measured: the start model on the first `questions` of a split."""

    sampling: Annotated[SamplingConfig, IDENTITY]
    questions: Annotated[int, IDENTITY, Field(ge=1)]
