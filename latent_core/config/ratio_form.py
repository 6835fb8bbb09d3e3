"""How a prompt tells a model the ratio, and what that asks of the other settings of a run."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from latent_core.config.base import IDENTITY, StageConfig
from latent_core.config.prepare import PrepareConfig, RatioLabel
from latent_core.config.ratios import Ratio, Ratios, distinct
from latent_core.config.training import LossOn, TrainConfig

AUTO: Final = "auto"
"""In place of a ratio: the model names its own."""
AskedRatio = Ratio | Literal["auto"]


class RatioForm(StrEnum):
    """How a prompt tells the ratio."""

    SUFFIX = "suffix"  # TokenSkip's: the number between two end-of-turn tokens; nothing at ratio 1
    TOKEN = "token"  # a special token of its own after the question, at ratio 1 too
    ECHO = "echo"  # the same, and the model writes the token first (Extra-CoT, arXiv 2602.08324)


class RatioTokensConfig(StageConfig):
    """Which tokens are added to a model: one for each ratio, and one for `auto` where the model names the ratio."""

    form: Annotated[Literal[RatioForm.TOKEN, RatioForm.ECHO], IDENTITY] = RatioForm.TOKEN
    ratios: Annotated[Ratios, IDENTITY] = (1.0,)
    seed: Annotated[int, IDENTITY, Field(ge=0)] = 0
    """Of the noise that tells the new rows apart."""

    @field_validator("ratios")
    @classmethod
    def _no_duplicates(cls, ratios: tuple[float, ...]) -> tuple[float, ...]:
        return distinct("ratios", ratios)


def check_ratio_form(
    form: RatioForm, prepare: PrepareConfig, train: TrainConfig, asked: Sequence[float], auto_ratio: bool
) -> None:
    """Raise ValueError, naming the field, where a run's settings do not go with the form.

    `asked` are the ratios of the evaluation, `auto_ratio` whether it also asks the model to name its own.
    """
    if form is not RatioForm.ECHO:
        for field, is_used in (("prepare.auto_share", prepare.auto_share > 0), ("evaluate.auto_ratio", auto_ratio)):
            if is_used:
                raise ValueError(f"{field}: needs a model that names its ratio; set ratio_form: echo, or leave it out")
    if form is RatioForm.SUFFIX:
        return
    if prepare.ratio_label is RatioLabel.ACHIEVED:
        raise ValueError(
            f"prepare.ratio_label: achieved names a ratio for every text, and ratio_form: {form.value} has a token for "
            "each; set ratio_label: bucket, or requested"
        )
    missing = sorted(set(asked) - set(prepare.labels) - {1.0}, reverse=True)
    if missing:
        source = "prepare.buckets" if prepare.ratio_label is RatioLabel.BUCKET else "prepare.ratios"
        raise ValueError(
            f"evaluate.ratios: {_listed(missing)} has no token (there are {_listed(prepare.labels)}, from {source}); "
            "train at it, or leave it out"
        )
    if auto_ratio and prepare.auto_share == 0:
        raise ValueError("evaluate.auto_ratio: no example asks for auto; set prepare.auto_share, or leave it out")
    if form is RatioForm.ECHO and train.loss_on is LossOn.LATENT_ONLY:
        raise ValueError(
            "train.loss_on: latent_only has no loss on the ratio that a model of ratio_form: echo writes; set target"
        )


def _listed(ratios: Sequence[float]) -> str:
    return ", ".join(f"{ratio:g}" for ratio in ratios)
