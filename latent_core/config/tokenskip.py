"""Parameters of the main flow: TokenSkip on a standard and a dual-vocabulary model, stage by stage."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from latent_core.config.base import IDENTITY, RUNTIME, WIRING
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.chat import ChatConfig, Thinking
from latent_core.config.collect import CollectConfig
from latent_core.config.compress import CompressConfig
from latent_core.config.dual import DualBuildConfig, LatentMode
from latent_core.config.evaluate import EvaluateVariantsConfig
from latent_core.config.prepare import PrepareConfig, check_prepared_ratios
from latent_core.config.quality import QualityConfig
from latent_core.config.ratio_form import RatioForm, check_ratio_form
from latent_core.config.ratios import WithRatios
from latent_core.config.runtime import RuntimeConfig, TrainingTrackingConfig
from latent_core.config.training import TrainConfig, TrainMethod
from latent_core.config.warm_start import WarmStartConfig


class Variant(StrEnum):
    """Which kinds of model a run trains."""

    STANDARD = "standard"
    DUAL = "dual"
    DUAL_FROZEN = "dual_frozen"  # the dual model whose latent rows stay copies: what a mask alone changes
    RANDOM_DROP = "random_drop"  # the standard model, trained on words dropped at random: what a compressor must beat
    STANDARD_ROWS = "standard_rows"  # the standard model, its visible rows learning: as many parameters as the dual one
    DUAL_PERMUTED = "dual_permuted"  # a dual model whose latent rows start as other tokens' rows: what copies are worth
    DUAL_PHASE = "dual_phase"  # the dual model, its loss over the ids alone that the phase of a position allows

    @property
    def examples(self) -> Variant:
        """The variant whose examples and starting weights this one is trained with.

        The permuted dual model has its own: the ids in its examples are those of the dual model, but its rows are not.
        """
        shared = {
            Variant.DUAL_FROZEN: Variant.DUAL,
            Variant.DUAL_PHASE: Variant.DUAL,
            Variant.STANDARD_ROWS: Variant.STANDARD,
        }
        return shared.get(self, self)

    @property
    def is_dual(self) -> bool:
        return self.examples in (Variant.DUAL, Variant.DUAL_PERMUTED)


class TokenSkipConfig(WithRatios):
    """The whole run: base model, problems, and one section per stage."""

    model: Annotated[str, WIRING] = "latent-mini"
    """Base model: latent-mini, smollm2, a local directory, or a hub id owner/name[@revision]."""
    chat: Annotated[ChatConfig, WIRING] = ChatConfig()
    """How the model's conversations are read: whether it thinks, and the day its chat template is told."""
    variants: Annotated[tuple[Variant, ...], WIRING, Field(min_length=1)] = (Variant.STANDARD, Variant.DUAL)
    """Which models to train and compare."""
    seeds: Annotated[tuple[int, ...], WIRING] = ()
    """Train every variant once a seed, in place of train.seed; the report then says how far seeds spread."""
    ratio_form: Annotated[RatioForm, WIRING] = RatioForm.SUFFIX
    """How prompts tell the ratio, in training and evaluation: suffix (TokenSkip's number), token (a special token a
    ratio, added to the model), or echo (the same, and the model writes it first). It travels in the model's files."""
    benchmark: Annotated[BenchmarkConfig, WIRING] = BenchmarkConfig()
    warm_start: Annotated[WarmStartConfig | None, IDENTITY] = None
    collect: Annotated[CollectConfig, IDENTITY] = CollectConfig()
    compress: Annotated[CompressConfig, IDENTITY] = CompressConfig()
    quality: Annotated[QualityConfig | None, IDENTITY] = None
    """Score every text by the base model's trust in the right answer after it; prepare.quality_top keeps the best."""
    prepare: Annotated[PrepareConfig, IDENTITY] = PrepareConfig()
    dual: Annotated[DualBuildConfig, IDENTITY] = DualBuildConfig()
    train: Annotated[TrainConfig, IDENTITY] = TrainConfig()
    evaluate: Annotated[EvaluateVariantsConfig, IDENTITY] = EvaluateVariantsConfig()
    margin: Annotated[float, IDENTITY, Field(gt=0, lt=1)] = 0.03
    """Share of the questions that the report's claims of non-inferiority must exclude losing."""
    store: Annotated[str, RUNTIME] = ".latent/store"
    """Where artifacts live: a local path or s3://bucket/prefix."""
    runtime: Annotated[RuntimeConfig, RUNTIME] = RuntimeConfig()
    tracking: Annotated[TrainingTrackingConfig, RUNTIME] = TrainingTrackingConfig()

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds) or any(seed < 0 for seed in seeds):
            raise ValueError(f"seeds: {list(seeds)} must be different whole numbers from 0 on")
        return seeds

    @model_validator(mode="after")
    def _ratios_are_compressed(self) -> TokenSkipConfig:
        check_prepared_ratios(self.prepare, self.compress)
        return self

    @model_validator(mode="after")
    def _chains_that_are_there_need_no_warm_start(self) -> TokenSkipConfig:
        if self.warm_start is not None and not self.collect.samples_model:
            raise ValueError(
                "warm_start: teaches a model to solve the benchmark before it is sampled, but collect.source "
                f"{self.collect.source} samples nothing; drop one"
            )
        return self

    @model_validator(mode="after")
    def _settings_go_with_the_ratio_form(self) -> TokenSkipConfig:
        check_ratio_form(self.ratio_form, self.prepare, self.train, self.evaluate.ratios, self.evaluate.auto_ratio)
        return self

    @model_validator(mode="after")
    def _dual_models_think(self) -> TokenSkipConfig:
        if self.chat.thinking is Thinking.OFF and any(variant.is_dual for variant in self.variants):
            raise ValueError(
                "chat.thinking: is off, but dual models reason between think marks; drop these variants, or set auto"
            )
        return self

    @model_validator(mode="after")
    def _reasoning_lies_between_marks(self) -> TokenSkipConfig:
        if self.chat.thinking is Thinking.OFF and self.evaluate.interventions:
            raise ValueError(
                "evaluate.interventions: replace what stands between think marks, but chat.thinking is off; drop them"
            )
        if self.ratio_form is RatioForm.ECHO and self.evaluate.interventions:
            raise ValueError(
                "evaluate.interventions: replace all that a model writes before its answer, and with ratio_form: echo "
                "that would be its ratio too; drop them, or set ratio_form: token"
            )
        return self

    @model_validator(mode="after")
    def _rows_learn_beside_an_adapter(self) -> TokenSkipConfig:
        if Variant.STANDARD_ROWS in self.variants and self.train.method is not TrainMethod.LORA:
            raise ValueError(
                "variants: standard_rows trains rows beside an adapter, but train.method "
                f"{self.train.method.value} trains every row; drop it, or set train.method lora"
            )
        return self

    @model_validator(mode="after")
    def _permuted_rows_are_copies(self) -> TokenSkipConfig:
        if Variant.DUAL_PERMUTED in self.variants and self.dual.mode is LatentMode.CUSTOM:
            raise ValueError(
                "variants: dual_permuted moves copies of rows, but dual.mode 'custom' makes rows of its own; drop one"
            )
        return self

    @model_validator(mode="after")
    def _quality_top_needs_scores(self) -> TokenSkipConfig:
        if self.prepare.quality_top < 1 and self.quality is None:
            raise ValueError("prepare.quality_top: needs scores; set quality.span, or leave quality_top at 1")
        return self
