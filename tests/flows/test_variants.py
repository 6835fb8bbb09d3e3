"""Which models the main flow trains: variants, seeds, and what they share. Plans only, nothing is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flows.parts.training_sets import trainings
from flows.tokenskip_math import compose
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


def test_control_arms_share_what_they_control_for(tmp_path: Path) -> None:
    variants = ["standard", "standard_rows", "dual", "dual_frozen", "dual_permuted", "dual_phase"]
    titles = _titles(tmp_path, variants=variants)
    assert [title for title in titles if title.startswith(("build_dual", "prepare", "train"))] == [
        "prepare standard",
        "train standard",
        "train standard_rows",
        "build_dual",
        "prepare dual",
        "train dual",
        "train dual_frozen",
        "build_dual permuted",
        "prepare dual_permuted",
        "train dual_permuted",
        "train dual_phase",
    ]


def test_control_arm_changes_the_one_setting_that_it_is_about() -> None:
    config = TokenSkipConfig()

    def changes(variant: Variant) -> dict[str, Any]:
        settings = trainings(config, variant)[None]
        return {name: value for name, value in settings if value != getattr(config.train, name)}

    changed = {variant: changes(variant) for variant in Variant}
    assert {variant: change for variant, change in changed.items() if change} == {
        Variant.STANDARD_ROWS: {"visible_rows": "trainable"},
        Variant.DUAL_FROZEN: {"latent_rows": "frozen"},
        Variant.DUAL_PHASE: {"support": "phase"},
    }


def test_permuted_dual_model_is_built_with_its_permutation_and_the_other_without(tmp_path: Path) -> None:
    def built(**settings: Any) -> dict[str, str]:
        config = TokenSkipConfig.model_validate({"store": str(tmp_path), **settings})
        run = open_plan("tokenskip-math", config)
        compose(config, run)
        return {line.title: line.ref.fingerprint for line in run.lines if line.title.startswith("build_dual")}

    both = built(variants=["dual", "dual_permuted"])
    assert both["build_dual"] == built(variants=["dual"])["build_dual"] != both["build_dual permuted"]
    asked = built(variants=["dual"], dual={"initial": "permuted"})
    assert both["build_dual permuted"] == asked["build_dual"]


def test_interventions_are_made_on_every_trained_model_at_every_ratio(tmp_path: Path) -> None:
    settings = {"questions": 5, "ratios": [1.0, 0.5], "interventions": ["empty", "swap"]}
    titles = _titles(tmp_path, variants=["standard", "dual"], evaluate=settings)
    assert [title for title in titles if title.startswith("intervene")] == [
        f"intervene {variant} {kind} reasoning {ratio}"
        for variant in ("standard", "dual")
        for kind in ("empty", "swapped")
        for ratio in ("1", "0.5")
    ]
    assert not any("intervene" in title for title in _titles(tmp_path, variants=["standard", "dual"]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variants": ["standard_row"]}, "variants"),
        ({"variants": ["standard_rows"], "train": {"method": "full"}}, "variants: standard_rows trains rows"),
        ({"train": {"method": "full", "visible_rows": "trainable"}}, "visible_rows: method full"),
        (
            {"variants": ["dual_permuted"], "dual": {"mode": "custom", "tokens_file": "x"}},
            "variants: dual_permuted moves copies",
        ),
        ({"variants": ["dual_permuted"], "chat": {"thinking": "off"}}, "dual models reason between think marks"),
        (
            {"variants": ["standard"], "chat": {"thinking": "off"}, "evaluate": {"interventions": ["empty"]}},
            "evaluate.interventions: replace what stands between think marks",
        ),
        (
            {"ratio_form": "echo", "variants": ["standard"], "evaluate": {"interventions": ["swap"]}},
            "evaluate.interventions: .* ratio_form: echo that would be its ratio too",
        ),
        ({"evaluate": {"interventions": ["swap"], "questions": 1}}, "evaluate.interventions: swap needs another"),
        ({"evaluate": {"interventions": ["swap", "swap"]}}, "evaluate.interventions: one appears twice"),
        ({"evaluate": {"interventions": ["shuffle"]}}, "interventions"),
    ],
)
def test_arm_that_cannot_be_is_refused_by_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TokenSkipConfig.model_validate(settings)
