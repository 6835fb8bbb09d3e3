"""Parameters of the comparison of arms: ways of training that differ in one thing, over several seeds."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from latent_core.config.base import IDENTITY, RUNTIME, WIRING
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.chat import ChatConfig
from latent_core.config.collect import CollectConfig
from latent_core.config.compress import CompressConfig, ScoreWordsConfig, Unit
from latent_core.config.dual import DualBuildConfig
from latent_core.config.evaluate import EvaluateVariantsConfig
from latent_core.config.measure import MeasureCompressionsConfig
from latent_core.config.prepare import PrepareConfig
from latent_core.config.quality import QualityConfig
from latent_core.config.ratio_form import RatioForm
from latent_core.config.ratios import Ratios, WithRatios, distinct
from latent_core.config.runtime import RuntimeConfig, TrackingConfig
from latent_core.config.tokenskip import TokenSkipConfig, Variant
from latent_core.config.training import TrainConfig
from latent_core.config.warm_start import WarmStartConfig


def spread_seeds(seeds: tuple[int, ...]) -> tuple[int, ...]:
    """The seeds as they are. Raises ValueError for those that arms cannot be compared over."""
    if len(seeds) < 2:
        raise ValueError(f"{list(seeds)} are too few: arms are compared over 2 seeds or more")
    if len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise ValueError(f"{list(seeds)} must be different whole numbers from 0 on")
    return seeds


class CompareConfig(WithRatios):
    """Arms × seeds. An arm is what the main job would train with the same sections, so results are shared with it."""

    model: Annotated[str, WIRING] = "latent-mini"
    """Base model: latent-mini, smollm2, a local directory, or a hub id owner/name[@revision]."""
    chat: Annotated[ChatConfig, WIRING] = ChatConfig()
    """How the model's conversations are read: whether it thinks, and the day its chat template is told."""
    latent_arms: Annotated[tuple[Variant, ...], WIRING] = (
        Variant.STANDARD,
        Variant.STANDARD_ROWS,
        Variant.DUAL,
        Variant.DUAL_FROZEN,
        Variant.DUAL_PERMUTED,
        Variant.DUAL_PHASE,
    )
    """Variants to train on what the first of `compressors` and `units` leaves, by the rules of `compress`."""
    compressors: Annotated[tuple[str, ...], WIRING, Field(min_length=1)] = ("latent-compressor", "random", "truncate")
    """What compress.model can be; a standard model is trained on what each leaves by each of `units`."""
    units: Annotated[tuple[Unit, ...], WIRING, Field(min_length=1)] = (Unit.WORD, Unit.SPAN)
    """What compress.unit can be."""
    keep_rules: Annotated[bool, WIRING] = False
    """Whether the keep_* and force_* rules of `compress` hold for the arms of `compressors` too, and not for the latent
    arms alone. Without them all that survives is the scorer's doing."""
    compressor_steps: Annotated[int | None, WIRING, Field(ge=1)] = None
    """train.steps of the arms of `compressors`, which are compared with each other alone; the same where left out."""
    compressor_ratios: Annotated[Ratios | None, WIRING] = None
    """Those of evaluate.ratios that the arms of `compressors` are evaluated at; all where it is left out."""
    seeds: Annotated[tuple[int, ...], WIRING] = (1, 2, 3, 4, 5)
    """Training seeds; every arm is trained once with each."""
    ratio_form: Annotated[RatioForm, WIRING] = RatioForm.SUFFIX
    """How prompts tell the ratio, to every arm: suffix, token or echo, as in the main job."""
    margin: Annotated[float, IDENTITY, Field(gt=0, lt=1)] = 0.03
    """Share of the questions by which accuracies may differ and still be called equivalent."""
    resamples: Annotated[int, IDENTITY, Field(ge=1000)] = 10_000
    """Of the bootstrap over seeds and questions."""
    benchmark: Annotated[BenchmarkConfig, WIRING] = BenchmarkConfig(difficulties=(1, 2, 3, 4))
    warm_start: Annotated[WarmStartConfig | None, IDENTITY] = None
    collect: Annotated[CollectConfig, IDENTITY] = CollectConfig()
    compress: Annotated[CompressConfig, IDENTITY] = CompressConfig(scoring=ScoreWordsConfig(spans=True))
    measure: Annotated[MeasureCompressionsConfig, IDENTITY] = MeasureCompressionsConfig()
    quality: Annotated[QualityConfig | None, IDENTITY] = None
    """Score every text by the base model's trust in the right answer after it; prepare.quality_top keeps the best."""
    prepare: Annotated[PrepareConfig, IDENTITY] = PrepareConfig()
    dual: Annotated[DualBuildConfig, IDENTITY] = DualBuildConfig()
    train: Annotated[TrainConfig, IDENTITY] = TrainConfig()
    evaluate: Annotated[EvaluateVariantsConfig, IDENTITY] = EvaluateVariantsConfig()
    """Its interventions are made on the latent arms, each beside `own`, which it is compared with."""
    store: Annotated[str, RUNTIME] = ".latent/store"
    """Where artifacts live: a local path or s3://bucket/prefix."""
    runtime: Annotated[RuntimeConfig, RUNTIME] = RuntimeConfig()
    tracking: Annotated[TrackingConfig, RUNTIME] = TrackingConfig()

    @field_validator("latent_arms", "compressors", "units")
    @classmethod
    def _no_arm_twice(cls, arms: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(arms)) != len(arms):
            raise ValueError(f"one appears twice in {[str(arm) for arm in arms]}")
        return arms

    @field_validator("seeds")
    @classmethod
    def _seeds_spread(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        return spread_seeds(seeds)

    @field_validator("compressor_ratios")
    @classmethod
    def _no_ratio_twice(cls, ratios: tuple[float, ...] | None) -> tuple[float, ...] | None:
        return None if ratios is None else distinct("compressor_ratios", ratios)

    @model_validator(mode="after")
    def _compressors_are_varied_here(self) -> CompareConfig:
        if "model" in self.compress.model_fields_set:
            raise ValueError("compress.model: this flow compresses with every one of `compressors`; name them there")
        if "unit" in self.compress.model_fields_set:
            raise ValueError("compress.unit: this flow compresses by every one of `units`; name them there")
        if Unit.SPAN in self.units and not self.compress.scoring.spans:
            raise ValueError("units: span works on spans of the source text; set compress.scoring.spans")
        if Unit.SPAN in self.units and self.compress.drop_consecutive:
            raise ValueError("units: span never drops force tokens one by one; set compress.drop_consecutive to false")
        if Unit.SPAN in self.units and self.compress.scoring.forces:
            raise ValueError(
                f"units: span never forces words one by one; leave compress.scoring.{self.compress.scoring.forces} out"
            )
        return self

    @model_validator(mode="after")
    def _measures_have_what_they_are_relative_to(self) -> CompareConfig:
        if not self.evaluate.base:
            raise ValueError("evaluate.base: scores are relative to the untrained model; leave it true")
        if self.evaluate.auto_ratio:
            raise ValueError("evaluate.auto_ratio: arms are compared at ratios that are asked for; leave it out")
        if 1.0 not in self.evaluate.ratios or len(self.evaluate.ratios) < 2:
            raise ValueError(
                f"evaluate.ratios: {list(self.evaluate.ratios)} need 1, which lengths are measured by, and one below"
            )
        ratios = self.compressor_ratios
        if ratios is not None:
            unknown = [ratio for ratio in ratios if ratio not in self.evaluate.ratios]
            if unknown:
                raise ValueError(f"compressor_ratios: {unknown} are not in evaluate.ratios; add them there")
            if 1.0 not in ratios or len(ratios) < 2:
                raise ValueError(
                    f"compressor_ratios: {list(ratios)} need 1, which lengths are measured by, and one below"
                )
        return self

    @model_validator(mode="after")
    def _every_arm_is_a_run_of_the_main_job(self) -> CompareConfig:
        self.recipe(self.compress)  # refuses what the main job refuses, by the same names
        return self

    def recipe(self, compress: CompressConfig) -> TokenSkipConfig:
        """The main job's parameters for arms that are trained on these compressions."""
        return TokenSkipConfig(
            model=self.model,
            chat=self.chat,
            variants=self.latent_arms or (Variant.STANDARD,),
            seeds=self.seeds,
            ratio_form=self.ratio_form,
            benchmark=self.benchmark,
            warm_start=self.warm_start,
            collect=self.collect,
            compress=compress,
            quality=self.quality,
            prepare=self.prepare,
            dual=self.dual,
            train=self.train,
            evaluate=self.evaluate,
        )
