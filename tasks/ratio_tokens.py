"""Stage `build_ratio_tokens`: a model with a token for each ratio that its prompts may name."""

from __future__ import annotations

from typing import NamedTuple

from latent_core.config.ratio_form import RatioTokensConfig
from latent_core.models.ratio_token_build import add_ratio_tokens
from latent_core.store import ArtifactWriter
from tasks.inputs import Model
from tasks.stage import Outcome, Workplace, stage


class RatioTokensInputs(NamedTuple):
    """The model, which has no ratio tokens yet."""

    model: Model


@stage("build_ratio_tokens", version=1)
def build_ratio_tokens(
    out: ArtifactWriter, inputs: RatioTokensInputs, config: RatioTokensConfig, workplace: Workplace
) -> Outcome:
    with out.directory("model") as directory:
        found = add_ratio_tokens(workplace.model_dir(inputs.model), directory, config)
    return Outcome(metrics={"tokens": dict(zip(found.texts, found.all_ids, strict=True))})
