"""Parameters of the comparison of label kinds: a compressor trained on each, a model trained on its compressions."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from latent_core.config.base import IDENTITY, RUNTIME, WIRING
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.chat import ChatConfig
from latent_core.config.collect import CollectConfig
from latent_core.config.compress import CompressConfig, ScoreWordsConfig
from latent_core.config.evaluate import EvaluateConfig
from latent_core.config.label_words import LabelKind, LabelReading, LabelWordsConfig
from latent_core.config.prepare import PrepareConfig, check_prepared_ratios
from latent_core.config.ratio_form import RatioForm, check_ratio_form
from latent_core.config.ratios import WithRatios
from latent_core.config.runtime import RuntimeConfig, TrackingConfig
from latent_core.config.train_compressor import TrainCompressorConfig
from latent_core.config.training import TrainConfig


class LabelKindsConfig(WithRatios):
    """The same chains of thought, compressed by compressors that differ in their labels only, and at random."""

    kinds: Annotated[tuple[LabelKind, ...], WIRING, Field(min_length=1)] = (
        LabelKind.SURPRISAL,
        LabelKind.ANSWER_AWARE,
        LabelKind.ANSWER_ABLATION,
    )
    """Models trained on the later kinds are tested against the first one's."""
    model: Annotated[str, WIRING] = "latent-mini"
    """The model whose chains of thought are compressed, and which is trained on the compressions."""
    labeller: Annotated[str, WIRING] = "latent-mini"
    """Causal language model that labels the words; it must be able to solve the problems."""
    chat: Annotated[ChatConfig, WIRING] = ChatConfig()
    """How the model's conversations are read: whether it thinks, and the day its chat template is told."""
    benchmark: Annotated[BenchmarkConfig, WIRING] = BenchmarkConfig()
    labels: Annotated[LabelWordsConfig, IDENTITY] = LabelWordsConfig(reading=LabelReading.CONVERSATION)
    """How many worked solutions are labelled, and how; `kinds` says by what."""
    compressor: Annotated[TrainCompressorConfig, IDENTITY] = TrainCompressorConfig()
    collect: Annotated[CollectConfig, IDENTITY] = CollectConfig()
    compress: Annotated[CompressConfig, IDENTITY] = CompressConfig(scoring=ScoreWordsConfig(spans=True))
    prepare: Annotated[PrepareConfig, IDENTITY] = PrepareConfig()
    train: Annotated[TrainConfig, IDENTITY] = TrainConfig()
    evaluate: Annotated[EvaluateConfig, IDENTITY] = EvaluateConfig()
    store: Annotated[str, RUNTIME] = ".latent/store"
    runtime: Annotated[RuntimeConfig, RUNTIME] = RuntimeConfig()
    tracking: Annotated[TrackingConfig, RUNTIME] = TrackingConfig()

    @model_validator(mode="before")
    @classmethod
    def _given_fields_leave_the_others_of_a_section(cls, fields: Any) -> Any:
        """A section that is given in part keeps this flow's defaults of the rest, which are not the section's own."""
        if not isinstance(fields, dict):
            return fields
        own = {name: cls.model_fields[name].default.model_dump(exclude_unset=True) for name in ("labels", "compress")}
        return fields | {name: _filled(fields[name], defaults) for name, defaults in own.items() if name in fields}

    @field_validator("kinds")
    @classmethod
    def _no_kind_twice(cls, kinds: tuple[LabelKind, ...]) -> tuple[LabelKind, ...]:
        if len(set(kinds)) != len(kinds):
            raise ValueError(f"kinds: one appears twice in {[kind.value for kind in kinds]}")
        return kinds

    @model_validator(mode="after")
    def _sections_leave_to_the_flow_what_it_varies(self) -> LabelKindsConfig:
        if "kind" in self.labels.model_fields_set:
            raise ValueError("labels.kind: this flow labels by every one of `kinds`; name them there")
        if "model" in self.compress.model_fields_set:
            raise ValueError("compress.model: this flow compresses with the compressors that it trains; leave it out")
        check_prepared_ratios(self.prepare, self.compress)
        evaluate = self.evaluate
        check_ratio_form(RatioForm.SUFFIX, self.prepare, self.train, evaluate.ratios, evaluate.auto_ratio)
        return self


def _filled(given: Any, defaults: Any) -> Any:
    """`given` with what it leaves out of `defaults`, section by section; anything but a section is left as it is."""
    if not isinstance(given, dict) or not isinstance(defaults, dict):
        return given
    return defaults | {
        name: _filled(value, defaults[name]) if name in defaults else value for name, value in given.items()
    }
