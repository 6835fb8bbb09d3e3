"""Parameters of preparation: from compressed chains of thought to training examples."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, field_validator

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


class PrepareConfig(StageConfig):
    """From compressed chains of thought to training examples."""

    ratios: Annotated[Ratios, IDENTITY] = (1.0, 0.7, 0.5, 0.3, 0.1)
    policy: Annotated[RatioPolicy, IDENTITY] = RatioPolicy.ONE_RATIO_PER_RECORD
    validation_share: Annotated[float, IDENTITY, Field(ge=0, lt=1)] = 0.1
    """Share of the questions held out for validation; all samples of a question stay together."""
    max_length: Annotated[int, IDENTITY, Field(ge=8)] = 4096
    """Longest example in tokens; longer ones are left out and counted, at every ratio."""
    ratio_label: Annotated[RatioLabel, IDENTITY, OMITTED_AT_DEFAULT] = RatioLabel.REQUESTED
    """The ratio that an example's prompt names: the requested one, or the one its text achieved."""
    quality_top: Annotated[float, IDENTITY, OMITTED_AT_DEFAULT, Field(gt=0, le=1)] = 1.0
    """Share of a question's texts that is kept at each ratio, 1.0 included, best first; below 1 needs `quality`."""
    outside_subset: Annotated[Literal["visible", "drop_row"], IDENTITY] = "visible"
    """Dual models with a subset of latents: keep a reasoning token without a latent visible, or drop the example."""
    seed: Annotated[int, IDENTITY, Field(ge=0)] = 42

    @field_validator("ratios")
    @classmethod
    def _no_duplicates(cls, ratios: tuple[float, ...]) -> tuple[float, ...]:
        return distinct("prepare.ratios", ratios)


def check_prepared_ratios(prepare: PrepareConfig, compress: CompressConfig) -> None:
    """Raise ValueError unless every ratio below 1 that is prepared is also compressed."""
    missing = sorted(set(prepare.ratios) - set(compress.ratios) - {1.0})
    if missing:
        raise ValueError(f"prepare.ratios: {missing} are not in compress.ratios {list(compress.ratios)}")
