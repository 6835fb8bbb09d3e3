"""Parameters of the scheduled re-evaluation, and of `latent eval`."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from pydantic import Field, ValidationError, field_validator

from latent_core.config.base import IDENTITY, RUNTIME, WIRING, StageConfig
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.chat import ChatConfig
from latent_core.config.evaluate import EvaluateConfig, Joined, Metrics
from latent_core.config.prompting import TextFormat
from latent_core.config.ratios import Ratios, distinct
from latent_core.config.runtime import RuntimeConfig, TrackingConfig
from latent_core.config.sampling import SamplingConfig
from latent_core.errors import InputError


class Evaluated(NamedTuple):
    """What a model is, or was, evaluated for."""

    benchmark: BenchmarkConfig
    evaluate: EvaluateConfig
    text_format: TextFormat = TextFormat.BOXED


class FollowedEvaluateConfig(StageConfig):
    """Evaluation on the test split, one condition per ratio. What is left out is as the model was first evaluated."""

    sampling: Annotated[SamplingConfig | None, IDENTITY] = None
    questions: Annotated[int | None, IDENTITY, Field(ge=1)] = None
    ratios: Annotated[Ratios | None, WIRING] = None
    """Conditions; each is an artifact of its own."""
    auto_ratio: Annotated[bool | None, WIRING] = None
    """One more condition: the model, which must name its ratio (ratio_form echo), chooses it."""
    metrics: Annotated[Metrics | None, IDENTITY] = None
    """logprob: mean log-probability of the gold answer after the model's own reasoning."""
    joined: Annotated[Joined, RUNTIME] = Joined.AUTO
    """always: a model's missing conditions are generated together; never: one after the other; auto: with vllm."""

    @field_validator("ratios")
    @classmethod
    def _no_duplicates(cls, ratios: tuple[float, ...] | None) -> tuple[float, ...] | None:
        return None if ratios is None else distinct("evaluate.ratios", ratios)

    @field_validator("metrics")
    @classmethod
    def _no_metric_twice(cls, metrics: Metrics | None) -> Metrics | None:
        if metrics is not None and len(set(metrics)) != len(metrics):
            raise ValueError(f"evaluate.metrics: a metric appears twice in {[metric.value for metric in metrics]}")
        return metrics

    def given(self) -> dict[str, Any]:
        """The fields that are not left out, by name; `joined`, which changes no result, is never left out."""
        return {name: value for name in self.roles if (value := getattr(self, name)) is not None}


class ReevaluateConfig(StageConfig):
    """Which model; on which problems, at which ratios, where that is not to be what it was first evaluated for.

    A model from outside the store has no first evaluation: what is left out is then the default of the other flows.
    """

    model: Annotated[str, WIRING] = "latent-mini"
    """latent-mini, smollm2, a directory (dual models and adapters are recognised), a hub id owner/name[@revision], a
    trained model of the store (train/FINGERPRINT, grpo/FINGERPRINT), or one of MLflow's (models:/NAME@ALIAS)."""
    chat: Annotated[ChatConfig, WIRING] = ChatConfig()
    """How the model's conversations are read: whether it thinks, and the day its chat template is told."""
    benchmark: Annotated[BenchmarkConfig | None, WIRING] = None
    evaluate: Annotated[FollowedEvaluateConfig, IDENTITY] = FollowedEvaluateConfig()
    fail_on_regression: Annotated[bool, RUNTIME] = True
    """Fail when accuracy fell since the last accepted evaluation of this model, beyond noise (paired test). false
    says what fell and accepts it: once such a run has finished, later ones are compared with what it found."""
    store: Annotated[str, RUNTIME] = ".latent/store"
    runtime: Annotated[RuntimeConfig, RUNTIME] = RuntimeConfig()
    tracking: Annotated[TrackingConfig, RUNTIME] = TrackingConfig()

    def settled(self, known: Evaluated | None = None) -> Evaluated:
        """What is evaluated: what is given here, else what is `known` of the model, else the defaults.

        Raises InputError where the two do not go together.
        """
        known = known or Evaluated(BenchmarkConfig(), EvaluateConfig())
        try:
            evaluate = EvaluateConfig.model_validate(dict(known.evaluate) | self.evaluate.given())
        except ValidationError as error:
            reasons = "; ".join(str(item["msg"]).removeprefix("Value error, ") for item in error.errors())
            raise InputError(f"evaluate: does not go with how {self.model} was evaluated first: {reasons}") from error
        return Evaluated(self.benchmark or known.benchmark, evaluate, known.text_format)
