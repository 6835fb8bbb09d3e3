"""Parameters of preparation: from compressed chains of thought to training examples."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, StageConfig
from latent_core.config.compress import CompressConfig
from latent_core.config.ratios import Ratios, distinct


class RatioPolicy(StrEnum):
    """Which of a record's ratios become training examples."""

    ONE_RATIO_PER_RECORD = "one_ratio_per_record"  # drawn at random, as in the paper
    ALL_RATIOS = "all_ratios"
    BALANCED = "balanced"  # every question at every ratio equally often: its samples take turns


class RatioLabel(StrEnum):
    """Which ratio an example's prompt names."""

    REQUESTED = "requested"  # what the compressor was asked for, as in the paper
    ACHIEVED = "achieved"  # what it kept of the target model's tokens, in hundredths
    BUCKET = "bucket"  # the one of `buckets` that is nearest to what it kept (Extra-CoT, arXiv 2602.08324)


class PrepareConfig(StageConfig):
    """From compressed chains of thought to training examples."""

    ratios: Annotated[Ratios, IDENTITY] = (1.0, 0.7, 0.5, 0.3, 0.1)
    policy: Annotated[RatioPolicy, IDENTITY] = RatioPolicy.ONE_RATIO_PER_RECORD
    validation_share: Annotated[float, IDENTITY, Field(ge=0, lt=1)] = 0.1
    """Share of the questions held out for validation; all samples of a question stay together."""
    max_length: Annotated[int, IDENTITY, Field(ge=8)] = 4096
    """Longest example in tokens; longer ones are left out and counted, at every ratio."""
    ratio_label: Annotated[RatioLabel, IDENTITY, OMITTED_AT_DEFAULT] = RatioLabel.REQUESTED
    """The ratio that an example's prompt names: the requested one, the one its text achieved, or a bucket."""
    buckets: Annotated[Ratios | None, IDENTITY, OMITTED_AT_DEFAULT] = None
    """ratio_label bucket: the ratios that examples are sorted into, by default `ratios`. The uncompressed text is
    always 1.0, and no compressed one is."""
    bucket_tolerance: Annotated[float, IDENTITY, OMITTED_AT_DEFAULT, Field(gt=0, le=1)] = 0.1
    """ratio_label bucket: a text whose achieved ratio is farther than this from every bucket is left out."""
    auto_share: Annotated[float, IDENTITY, OMITTED_AT_DEFAULT, Field(ge=0, lt=1)] = 0.0
    """ratio_form echo: share of the examples whose prompts ask for `auto`, and whose targets name their own ratio."""
    quality_top: Annotated[float, IDENTITY, OMITTED_AT_DEFAULT, Field(gt=0, le=1)] = 1.0
    """Share of a question's texts that is kept at each ratio, 1.0 included, best first; below 1 needs `quality`."""
    outside_subset: Annotated[Literal["visible", "drop_row"], IDENTITY] = "visible"
    """Dual models with a subset of latents: keep a reasoning token without a latent visible, or drop the example."""
    seed: Annotated[int, IDENTITY, Field(ge=0)] = 42

    @field_validator("ratios")
    @classmethod
    def _no_duplicates(cls, ratios: tuple[float, ...]) -> tuple[float, ...]:
        return distinct("prepare.ratios", ratios)

    @field_validator("buckets")
    @classmethod
    def _no_bucket_twice(cls, buckets: tuple[float, ...] | None) -> tuple[float, ...] | None:
        return None if buckets is None else distinct("prepare.buckets", buckets)

    @model_validator(mode="after")
    def _buckets_are_used(self) -> PrepareConfig:
        given = [name for name in ("buckets", "bucket_tolerance") if not self._is_omitted(name)]
        if given and self.ratio_label is not RatioLabel.BUCKET:
            raise ValueError(f"prepare.{given[0]}: has no effect; set prepare.ratio_label: bucket, or leave it out")
        if self.ratio_label is RatioLabel.BUCKET and not any(label < 1 for label in self.labels):
            raise ValueError("prepare.buckets: needs one below 1, since no compressed text is labelled 1")
        return self

    @property
    def labels(self) -> tuple[float, ...]:
        """The ratios that prompts name, descending; with `achieved`, where each text has its own, the requested."""
        if self.ratio_label is not RatioLabel.BUCKET or self.buckets is None:
            return tuple(sorted(self.ratios, reverse=True))
        whole = {1.0} & set(self.ratios)
        return tuple(sorted({bucket for bucket in self.buckets if bucket < 1} | whole, reverse=True))


def check_prepared_ratios(prepare: PrepareConfig, compress: CompressConfig) -> None:
    """Raise ValueError unless every ratio below 1 that is prepared is also compressed."""
    missing = sorted(set(prepare.ratios) - set(compress.ratios) - {1.0})
    if missing:
        raise ValueError(f"prepare.ratios: {missing} are not in compress.ratios {list(compress.ratios)}")
