"""Which models the main flow trains: variants, seeds, and what they share. Plans only, nothing is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flows.tokenskip_math import compose, trainings
from latent_core.config.tokenskip import TokenSkipConfig, Variant
from latent_core.config.training import LatentRows
from tasks.run.plan import open_plan


def _titles(root: Path, **settings: Any) -> list[str]:
    config = TokenSkipConfig.model_validate(
        {"collect": {"questions": 4}, "store": str(root), "tracking": {"enabled": False}, **settings}
    )
    run = open_plan("tokenskip-math", config)
    compose(config, run)
    return [line.title for line in run.lines]


def test_every_variant_is_trained_once_a_seed(tmp_path: Path) -> None:
    titles = _titles(tmp_path, variants=["standard", "dual"], seeds=[3, 4])
    trained = [title for title in titles if title.startswith("train ")]
    assert trained == [
        "train standard-seed3",
        "train standard-seed4",
        "train dual-seed3",
        "train dual-seed4",
    ]


def test_frozen_dual_model_shares_build_and_examples_with_the_trainable_one(tmp_path: Path) -> None:
    titles = _titles(tmp_path, variants=["dual", "dual_frozen"])
    assert [title for title in titles if title.startswith(("build_dual", "prepare"))] == ["build_dual", "prepare dual"]
    settings = trainings(TokenSkipConfig(), Variant.DUAL_FROZEN)[None]
    assert settings.latent_rows is LatentRows.FROZEN


def test_frozen_dual_model_alone_is_built_too(tmp_path: Path) -> None:
    assert "build_dual" in _titles(tmp_path, variants=["dual_frozen"])


def test_seed_given_twice_names_the_field() -> None:
    with pytest.raises(ValidationError, match="seeds"):
        TokenSkipConfig(seeds=(1, 1))
