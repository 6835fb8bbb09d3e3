"""Parameters of evaluation, and of the baselines that a trained model is compared with."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, RUNTIME, WIRING, StageConfig
from latent_core.config.prompting import Prompting
from latent_core.config.ratios import Ratios, distinct
from latent_core.config.sampling import SamplingConfig


class Baseline(StrEnum):
    """What a trained model is compared with, on the untrained one."""

    REDUCE = Prompting.REDUCE.value
    CONCISE = Prompting.CONCISE.value
    CHAIN_OF_DRAFT = Prompting.CHAIN_OF_DRAFT.value
    SKETCH_OF_THOUGHT = Prompting.SKETCH_OF_THOUGHT.value
    TRUNCATE = "truncate"  # its own output, cut at the ratio's share of its mean length; costs no generation


class Metric(StrEnum):
    """What an evaluation measures beside accuracy and lengths."""

    LOGPROB = "logprob"  # how sure the model is of the gold answer after its own reasoning


Metrics = tuple[Metric, ...]


class Intervention(StrEnum):
    """What a model's reasoning is replaced by before it answers: does it read what it wrote?"""

    OWN = "own"  # the same again: what the others are compared with, since it is put there as they are
    EMPTY = "empty"  # nothing
    RANDOM = "random"  # as many ids, drawn from all reasoning of the evaluation
    SWAP = "swap"  # the reasoning about another question


Interventions = tuple[Intervention, ...]


class Joined(StrEnum):
    """Whether a model's missing conditions share the passes of one engine."""

    AUTO = "auto"  # where the engine fills a slot as soon as it is free: vllm
    ALWAYS = "always"
    NEVER = "never"


class EvaluateConfig(StageConfig):
    """Evaluation on the test split, one condition per ratio."""

    sampling: Annotated[SamplingConfig, IDENTITY] = SamplingConfig()
    questions: Annotated[int, IDENTITY, Field(ge=1)] = 500
    ratios: Annotated[Ratios, WIRING] = (1.0, 0.7, 0.5, 0.3)
    """Conditions; each is an artifact of its own."""
    auto_ratio: Annotated[bool, WIRING] = False
    """One more condition: the model, which must name its ratio (ratio_form echo), chooses it."""
    metrics: Annotated[Metrics, IDENTITY, OMITTED_AT_DEFAULT] = ()
    """logprob: mean log-probability of the gold answer after the model's own reasoning. It loads the model a second
    time, with transformers: beside vLLM on a GPU leave it room (sampling.vllm.gpu_memory_utilization)."""
    joined: Annotated[Joined, RUNTIME] = Joined.AUTO
    """always: a model's missing conditions are generated together, so that no slot of the engine stays empty while one
    ends; never: one after the other; auto: together with vllm. A server's stay apart, since it bills each."""

    @property
    def joins(self) -> bool:
        """Whether conditions are generated together."""
        return self.joined is Joined.ALWAYS or (self.joined is Joined.AUTO and self.sampling.engine == "vllm")

    @model_validator(mode="after")
    def _bills_stay_apart(self) -> EvaluateConfig:
        if self.joined is Joined.ALWAYS and self.sampling.engine == "openai":
            raise ValueError(
                "evaluate.joined: a server bills each condition, which must stay apart for that; leave it auto"
            )
        return self

    @field_validator("ratios")
    @classmethod
    def _no_duplicates(cls, ratios: tuple[float, ...]) -> tuple[float, ...]:
        return distinct("evaluate.ratios", ratios)

    @field_validator("metrics")
    @classmethod
    def _no_metric_twice(cls, metrics: Metrics) -> Metrics:
        if len(set(metrics)) != len(metrics):
            raise ValueError(f"evaluate.metrics: a metric appears twice in {[metric.value for metric in metrics]}")
        return metrics


class EvaluateWithBaseConfig(EvaluateConfig):
    """Evaluation of trained models beside the untrained one they come from."""

    base: Annotated[bool, WIRING] = True
    """Evaluate the untrained base model too, and its baselines."""
    baselines: Annotated[tuple[Baseline, ...], WIRING] = (Baseline.REDUCE, Baseline.CONCISE, Baseline.TRUNCATE)
    """Beside the base model: other ways to shorten its reasoning, without training, at the same ratios."""

    @model_validator(mode="after")
    def _baselines_need_the_base(self) -> EvaluateWithBaseConfig:
        if len(set(self.baselines)) != len(self.baselines):
            raise ValueError("evaluate.baselines: a baseline appears twice")
        if self.baselines and not self.base and "baselines" in self.model_fields_set:
            raise ValueError("evaluate.baselines: are compared with the base model; set evaluate.base, or no baselines")
        return self


class EvaluateVariantsConfig(EvaluateWithBaseConfig):
    """Evaluation of trained models that reason between think marks, with their reasoning replaced too."""

    interventions: Annotated[Interventions, WIRING] = ()
    """Let every trained model answer again, at every ratio, with its reasoning emptied (empty), replaced by as many
    random ids (random) or by its reasoning about another question (swap), or put there again (own). Answers are
    greedy."""
    intervention_ratios: Annotated[Ratios | None, WIRING] = None
    """Those of `ratios` at which interventions are made; all where it is left out."""

    @field_validator("interventions")
    @classmethod
    def _no_intervention_twice(cls, interventions: Interventions) -> Interventions:
        if len(set(interventions)) != len(interventions):
            raise ValueError(f"evaluate.interventions: one appears twice in {[name.value for name in interventions]}")
        return interventions

    @field_validator("intervention_ratios")
    @classmethod
    def _no_intervention_ratio_twice(cls, ratios: tuple[float, ...] | None) -> tuple[float, ...] | None:
        return None if ratios is None else distinct("evaluate.intervention_ratios", ratios)

    @model_validator(mode="after")
    def _interventions_are_made_on_evaluations(self) -> EvaluateVariantsConfig:
        if self.intervention_ratios is not None:
            if not self.interventions:
                raise ValueError("evaluate.intervention_ratios: no interventions are asked for; name them, or drop it")
            unknown = [ratio for ratio in self.intervention_ratios if ratio not in self.ratios]
            if unknown:
                raise ValueError(f"evaluate.intervention_ratios: {unknown} are not in evaluate.ratios; add them there")
        return self

    @model_validator(mode="after")
    def _swapping_needs_two(self) -> EvaluateVariantsConfig:
        if Intervention.SWAP in self.interventions and self.questions < 2:
            raise ValueError("evaluate.interventions: swap needs another question; raise evaluate.questions")
        return self


class EvaluateOnceConfig(EvaluateWithBaseConfig):
    """Evaluation of a model that was trained without ratios in its prompts, beside the untrained one."""

    ratios: Annotated[Ratios, WIRING] = (1.0,)
    """The plain question only."""
    baselines: Annotated[tuple[Baseline, ...], WIRING] = (Baseline.CONCISE,)
    """Beside the base model: other ways to shorten its reasoning, without training."""

    @model_validator(mode="after")
    def _has_no_ratios(self) -> EvaluateOnceConfig:
        if self.ratios != (1.0,):
            raise ValueError("evaluate.ratios: this method trains no ratios; leave it out, or run tokenskip-math")
        if self.auto_ratio:
            raise ValueError("evaluate.auto_ratio: this method trains no ratios; leave it out, or run tokenskip-math")
        needing = [name for name in self.baselines if name in (Baseline.REDUCE, Baseline.TRUNCATE)]
        if needing:
            raise ValueError(f"evaluate.baselines: {needing[0].value} needs ratios below 1, which it is not trained at")
        return self
