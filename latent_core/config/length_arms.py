"""Parameters of the comparison of length rewards: reinforcement learning that differs in its reward, over seeds."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from latent_core.config.base import IDENTITY, RUNTIME, WIRING, StageConfig
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.chat import ChatConfig
from latent_core.config.compare import spread_seeds
from latent_core.config.evaluate import EvaluateConfig
from latent_core.config.grpo import GrpoConfig
from latent_core.config.lengths import LengthConfig, LengthReward
from latent_core.config.ratios import Ratios
from latent_core.config.runtime import RuntimeConfig, TrackingConfig


class LengthArm(StrEnum):
    """What a start model is trained with; the start model itself is always an arm."""

    PLAIN = "plain"  # correctness alone, under the same cap
    PLACEBO = "placebo"  # the same, with rewards permuted inside groups
    LCPO_EXACT = LengthReward.LCPO_EXACT.value
    LCPO_MAX = LengthReward.LCPO_MAX.value
    GATED = LengthReward.GATED.value
    HMPO = LengthReward.HMPO.value


class StartModels(StageConfig):
    """Models that arms start from, each trained on ratios: a local directory, a hub id, train/FINGERPRINT of the store,
    or models:/NAME@ALIAS."""

    standard: Annotated[str | None, WIRING] = "latent-mini"
    dual: Annotated[str | None, WIRING] = None

    def named(self) -> dict[str, str]:
        """Those that are there, by what their arms are called after."""
        both = {"standard": self.standard, "dual": self.dual}
        return {name: spec for name, spec in both.items() if spec is not None}

    @model_validator(mode="after")
    def _one_is_there(self) -> StartModels:
        if not self.named():
            raise ValueError("models.standard: name a start model, here or as models.dual")
        return self


class WeightConfig(StageConfig):
    """The length term's weight, of the arms that have one; see `grpo.length`."""

    alpha: Annotated[float, WIRING, Field(gt=0)] = 2.0
    tolerance: Annotated[float, WIRING, Field(ge=0)] = 0.05
    rate: Annotated[float, WIRING, Field(ge=0)] = 5.0
    """Not of lcpo_max, which only shortens."""
    reference_samples: Annotated[int, WIRING, Field(ge=1)] = 4


class LengthEvaluateConfig(EvaluateConfig):
    """Evaluation at ratios that were trained, and at ratios between them that never were."""

    ratios: Annotated[Ratios, WIRING] = (1.0, 0.7, 0.6, 0.5, 0.4, 0.3)
    """Conditions; each is an artifact of its own. 1 must be among them, and one below."""


class LengthGrpoConfig(GrpoConfig):
    """Training at several ratios; its reward is that of the arm."""

    ratios: Annotated[Ratios, IDENTITY] = (1.0, 0.7, 0.5, 0.3)
    """The ratio that a question's prompt names; each question draws one anew at every step."""


class LengthArmsConfig(StageConfig):
    """Arms × start models × seeds."""

    models: Annotated[StartModels, WIRING] = StartModels()
    chat: Annotated[ChatConfig, WIRING] = ChatConfig()
    """How the models' conversations are read: whether they think, and the day their chat template is told."""
    arms: Annotated[tuple[LengthArm, ...], WIRING, Field(min_length=1)] = (
        LengthArm.PLAIN,
        LengthArm.PLACEBO,
        LengthArm.LCPO_EXACT,
        LengthArm.GATED,
        LengthArm.HMPO,
    )
    weight: Annotated[WeightConfig, WIRING] = WeightConfig()
    seeds: Annotated[tuple[int, ...], WIRING] = (1, 2, 3)
    """Training seeds; every arm is trained once with each."""
    margin: Annotated[float, IDENTITY, Field(gt=0, lt=1)] = 0.03
    """Share of the questions by which accuracies may differ and still be called equivalent."""
    resamples: Annotated[int, IDENTITY, Field(ge=1000)] = 10_000
    """Of the bootstrap over seeds and questions."""
    benchmark: Annotated[BenchmarkConfig, WIRING] = BenchmarkConfig()
    grpo: Annotated[LengthGrpoConfig, IDENTITY] = LengthGrpoConfig()
    evaluate: Annotated[LengthEvaluateConfig, IDENTITY] = LengthEvaluateConfig()
    store: Annotated[str, RUNTIME] = ".latent/store"
    """Where artifacts live: a local path or s3://bucket/prefix."""
    runtime: Annotated[RuntimeConfig, RUNTIME] = RuntimeConfig()
    tracking: Annotated[TrackingConfig, RUNTIME] = TrackingConfig()

    @field_validator("arms")
    @classmethod
    def _no_arm_twice(cls, arms: tuple[LengthArm, ...]) -> tuple[LengthArm, ...]:
        if len(set(arms)) != len(arms):
            raise ValueError(f"one appears twice in {[arm.value for arm in arms]}")
        return arms

    @field_validator("seeds")
    @classmethod
    def _seeds_spread(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        return spread_seeds(seeds)

    @model_validator(mode="after")
    def _rewards_are_varied_here(self) -> LengthArmsConfig:
        if self.grpo.length.is_on or self.grpo.placebo:
            name = "length" if self.grpo.length.is_on else "placebo"
            raise ValueError(f"grpo.{name}: this flow trains with the reward of every one of `arms`; name it there")
        if "seed" in self.grpo.model_fields_set:
            raise ValueError("grpo.seed: this flow trains with every one of `seeds`; name it there")
        for arm in self.arms:
            self.trainings(arm)  # refuses what a training refuses
        return self

    @model_validator(mode="after")
    def _lengths_have_what_they_are_relative_to(self) -> LengthArmsConfig:
        evaluate = self.evaluate
        if 1.0 not in evaluate.ratios or len(evaluate.ratios) < 2:
            raise ValueError(
                f"evaluate.ratios: {list(evaluate.ratios)} need 1, which lengths are measured by, and one below"
            )
        if evaluate.auto_ratio:
            raise ValueError("evaluate.auto_ratio: asks for no length that could be met; leave it out")
        if evaluate.questions < 2:
            raise ValueError("evaluate.questions: intervals are over questions, so arms are compared on 2 or more")
        return self

    def trainings(self, arm: LengthArm) -> dict[int, GrpoConfig]:
        """The settings of every training of an arm, by its seed. Raises ValueError for those that contradict."""
        settings = self.grpo.model_dump() | {"length": self._length(arm), "placebo": arm is LengthArm.PLACEBO}
        return {seed: GrpoConfig.model_validate(settings | {"seed": seed}) for seed in self.seeds}

    def _length(self, arm: LengthArm) -> LengthConfig:
        if arm in (LengthArm.PLAIN, LengthArm.PLACEBO):
            return LengthConfig()
        weight = self.weight.model_dump()
        if arm is LengthArm.HMPO:
            weight = {"reference_samples": self.weight.reference_samples}
        if arm is LengthArm.LCPO_MAX:
            weight["rate"] = 0.0
        return LengthConfig.model_validate({"reward": arm.value} | weight)
