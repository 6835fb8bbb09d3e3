"""Parameters of reinforcement learning from verifiable rewards: group-relative policy optimisation and its kin."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, RUNTIME, WIRING, StageConfig
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.chat import ChatConfig
from latent_core.config.evaluate import EvaluateConfig
from latent_core.config.lengths import LengthConfig, ReferenceLengths
from latent_core.config.policy_update import PolicyUpdateConfig
from latent_core.config.ratios import Ratios, distinct
from latent_core.config.rollouts import RolloutEngineConfig
from latent_core.config.runtime import RuntimeConfig, TrainingTrackingConfig
from latent_core.config.sampling import SamplingConfig


class Advantage(StrEnum):
    """How a completion's reward becomes its advantage over the others of its question, and how tokens are averaged."""

    GRPO = "grpo"  # arXiv 2402.03300: less the group's mean, over its standard deviation; a mean a sequence
    DR_GRPO = "dr_grpo"  # arXiv 2503.20783: less the group's mean alone; token sums over a constant length
    DAPO = "dapo"  # arXiv 2503.14476: as GRPO, with a mean over all tokens of the batch
    RLOO = "rloo"  # arXiv 2402.14740: less the mean of the others; token sums over a constant length

    @property
    def loss(self) -> str:
        """TRL's name of how tokens are averaged."""
        return Advantage.DR_GRPO.value if self is Advantage.RLOO else self.value


class Judge(StrEnum):
    """What a completion is rewarded for."""

    VERDICT = "verdict"  # the grader calls its answer correct
    LOGPROB = "logprob"  # the start model finds the gold answer likely after its reasoning: see `reward.scorer`


class RewardConfig(StageConfig):
    """What a completion is worth."""

    judge: Annotated[Judge, IDENTITY] = Judge.VERDICT
    """verdict: 1 for a correct answer, 0 for a wrong one. logprob: the mean log-probability (nats a token) of the gold
    answer after the completion's own reasoning, under the model that training starts from."""
    no_answer: Annotated[float, IDENTITY, Field(le=0)] = -0.1
    """verdict: for a completion that was cut or gives no answer."""
    length_cost: Annotated[float, IDENTITY, Field(ge=0, le=1)] = 0.0
    """Taken off a correct answer's reward, in proportion to its reasoning: all of it at rollout.max_new_tokens. With
    logprob it is taken off every reward."""


class RolloutConfig(RolloutEngineConfig):
    """How completions are drawn from the policy: as it is, without top-p or top-k, which the loss does not know of."""

    samples: Annotated[int, IDENTITY, Field(ge=2)] = 8
    """Completions of one question at one ratio: a group."""


class GrpoConfig(PolicyUpdateConfig):
    """Reinforcement learning on training questions; clipping and learning rate are RAGEN's (arXiv 2504.20073)."""

    questions: Annotated[int, IDENTITY, Field(ge=1)] = 1000
    """Training problems that steps draw from, in a random order."""
    questions_per_step: Annotated[int, IDENTITY, Field(ge=1)] = 8
    ratios: Annotated[Ratios, IDENTITY] = (1.0,)
    """The ratio that a question's prompt names; of several each question draws one anew at every step."""
    rollout: Annotated[RolloutConfig, IDENTITY] = RolloutConfig()
    reward: Annotated[RewardConfig, IDENTITY] = RewardConfig()
    advantage: Annotated[Advantage, IDENTITY] = Advantage.DR_GRPO
    """dr_grpo, grpo, dapo or rloo. A mean a sequence (grpo) favours short right answers and long wrong ones."""
    length: Annotated[LengthConfig, IDENTITY, OMITTED_AT_DEFAULT] = LengthConfig()
    placebo: Annotated[bool, IDENTITY, OMITTED_AT_DEFAULT] = False
    """Permute the rewards within each group: the control that has everything but the signal."""

    @property
    def references(self) -> ReferenceLengths:
        """How the start model's lengths are measured. The training's seed is no part of it, so that all seeds share
        one measurement."""
        rollout = self.rollout
        return ReferenceLengths(
            sampling=SamplingConfig(
                temperature=rollout.temperature,
                samples=self.length.reference_samples,
                max_new_tokens=rollout.max_new_tokens,
                batch_tokens=rollout.batch_tokens,
            ),
            questions=self.questions,
        )

    @property
    def completions_per_step(self) -> int:
        return self.questions_per_step * self.rollout.samples

    @property
    def completions(self) -> int:
        """Of the whole training."""
        return self.completions_per_step * self.steps // self.iterations

    @field_validator("ratios")
    @classmethod
    def _no_ratio_twice(cls, ratios: tuple[float, ...]) -> tuple[float, ...]:
        return distinct("grpo.ratios", ratios)

    @model_validator(mode="after")
    def _length_is_added_to_correctness(self) -> GrpoConfig:
        if self.length.is_on and self.reward.judge is Judge.LOGPROB:
            raise ValueError(
                "grpo.length.reward: is added to whether an answer is correct, and logprob is no verdict; set "
                "grpo.reward.judge to verdict"
            )
        if self.length.is_on and self.reward.length_cost > 0:
            raise ValueError(
                f"grpo.reward.length_cost: would pull lengths below what grpo.length.reward, {self.length.reward}, "
                "asks for; leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _batches_come_out_even(self) -> GrpoConfig:
        self.check_batches("grpo", self.completions_per_step, groups=self.questions_per_step, of="questions_per_step")
        self.rollout.check_processes("grpo", self.processes)
        if self.questions_per_step > self.questions:
            raise ValueError(
                f"grpo.questions_per_step: {self.questions_per_step} are more than the {self.questions} questions"
            )
        return self


class GrpoEvaluateConfig(EvaluateConfig):
    """Evaluation before and after, at ratios that the model's prompts may name."""

    ratios: Annotated[Ratios, WIRING] = (1.0,)
    """Conditions, before and after; each is an artifact of its own."""


class GrpoFlowConfig(StageConfig):
    """Reinforcement learning of a model, dual or not, with the vocabulary constraint it is sampled with."""

    model: Annotated[str, WIRING] = "latent-mini"
    """Start model: latent-mini, smollm2, a local directory, a hub id owner/name[@revision], train/FINGERPRINT of the
    store, or models:/NAME@ALIAS of the MLflow registry."""
    chat: Annotated[ChatConfig, WIRING] = ChatConfig()
    """How the model's conversations are read: whether it thinks, and the day its chat template is told."""
    benchmark: Annotated[BenchmarkConfig, WIRING] = BenchmarkConfig()
    grpo: Annotated[GrpoConfig, IDENTITY] = GrpoConfig()
    evaluate: Annotated[GrpoEvaluateConfig, IDENTITY] = GrpoEvaluateConfig()
    margin: Annotated[float, IDENTITY, Field(gt=0, lt=1)] = 0.03
    """Share of the questions that the report's claims of non-inferiority must exclude losing."""
    store: Annotated[str, RUNTIME] = ".latent/store"
    """Where artifacts live: a local path or s3://bucket/prefix."""
    runtime: Annotated[RuntimeConfig, RUNTIME] = RuntimeConfig()
    tracking: Annotated[TrainingTrackingConfig, RUNTIME] = TrainingTrackingConfig()
