"""Which stages a comparison of length rewards asks for, and which parameters it refuses. Plans only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.grpo import compose as compose_grpo
from flows.launch.parameters import checked
from flows.length import compose, families
from latent_core.config.grpo import GrpoFlowConfig
from latent_core.config.length_arms import LengthArmsConfig
from latent_core.dual import build_dual
from latent_core.errors import InputError
from latent_core.models.source import open_model
from tasks.run.plan import Plan, open_plan

FILE = Path(__file__).parents[2] / "deployments" / "length.yaml"
GRPO: dict[str, Any] = {"questions": 8, "questions_per_step": 4, "steps": 2, "ratios": [1.0, 0.5]}
SMALL: dict[str, Any] = {
    "seeds": [1, 2],
    "grpo": GRPO,
    "evaluate": {"questions": 5, "ratios": [1.0, 0.75, 0.5]},
    "tracking": {"enabled": False},
}


def _plan(root: Path, **settings: Any) -> Plan:
    run = open_plan("length", config := LengthArmsConfig.model_validate(SMALL | {"store": str(root)} | settings))
    compose(config, run)
    return run


def _titles(run: Plan, stage: str) -> list[str]:
    return [line.title.removeprefix(f"{stage} ") for line in run.lines if line.title.startswith(f"{stage} ")]


def test_every_arm_is_trained_once_a_seed_and_the_start_model_measured_once(tmp_path: Path) -> None:
    run = _plan(tmp_path)
    arms = ["plain", "placebo", "lcpo_exact", "gated", "hmpo"]
    trained = [f"standard {arm}-seed{seed}" for arm in arms for seed in (1, 2)]
    assert _titles(run, "grpo") == trained
    assert _titles(run, "reference_lengths") == ["standard"]
    evaluated = [f"{name} {ratio}" for name in ["standard start", *trained] for ratio in ("1", "0.75", "0.5")]
    assert _titles(run, "evaluate") == evaluated
    assert run.lines[-1].title == "compare_arms"


def test_settings_that_count_for_nothing_are_in_no_identity(tmp_path: Path) -> None:
    def trained(arm: str, **weight: float) -> str:
        lines = _plan(tmp_path, arms=[arm], weight=weight).lines
        return next(line.ref.fingerprint for line in lines if line.title == f"grpo standard {arm}-seed1")

    assert trained("hmpo", alpha=0.2) == trained("hmpo", rate=0.1)
    assert trained("gated", rate=0, tolerance=0.2) == trained("gated", rate=0, tolerance=0.3)
    assert trained("gated", rate=0.1, tolerance=0.2) != trained("gated", rate=0.1, tolerance=0.3)
    assert trained("gated", alpha=0.2) != trained("gated", alpha=0.3)


def test_trained_ratios_are_several_unless_told_otherwise() -> None:
    assert LengthArmsConfig.model_validate({"grpo": {"steps": 20}}).grpo.ratios == (1.0, 0.7, 0.5, 0.3)


def test_dual_start_model_has_arms_and_references_of_its_own(tmp_path: Path) -> None:
    build_dual(open_model("latent-mini").directory, tmp_path / "model")
    models = {"standard": "latent-mini", "dual": str(tmp_path / "model")}
    run = _plan(tmp_path, models=models, arms=["plain", "gated"])
    assert _titles(run, "reference_lengths") == ["standard", "dual"]
    assert len(_titles(run, "grpo")) == 2 * 2 * 2
    found = families(LengthArmsConfig.model_validate(SMALL | {"models": models, "arms": ["plain", "gated"]}))
    assert [family.title for family in found] == ["Standard", "Dual", "Dual against standard"]
    assert found[1].pairs == (
        ("dual gated", "dual plain"), ("dual plain", "dual start"), ("dual gated", "dual start"),
    )  # fmt: skip
    assert found[2].pairs[-1] == ("dual gated", "standard gated")


def test_lengths_are_compared_within_one_start_model() -> None:
    """The two start models write different lengths, so that an arm of one says nothing of an arm of the other."""
    models = {"standard": "latent-mini", "dual": "train/0123456789ab"}
    settings = LengthArmsConfig.model_validate(SMALL | {"models": models, "arms": ["placebo", "gated", "hmpo"]})
    found = [family for family in families(settings) if family.lengths]
    assert [family.title for family in found] == ["Standard", "Dual"]
    assert found[0].pairs[:2] == (("standard gated", "standard placebo"), ("standard hmpo", "standard placebo"))
    assert {name.partition(" ")[0] for pair in found[1].pairs for name in pair} == {"dual"}


@pytest.mark.parametrize(
    ("arm", "changes"),
    [
        ("plain", {}),
        ("placebo", {"placebo": True}),
        ("gated", {"length": {"reward": "gated", "alpha": 2.0, "tolerance": 0.05, "rate": 5.0}}),
        ("lcpo_max", {"length": {"reward": "lcpo_max", "alpha": 2.0}}),
        ("hmpo", {"length": {"reward": "hmpo"}}),
    ],
)
def test_arm_is_what_the_flow_grpo_trains_with_the_same_settings(
    tmp_path: Path, arm: str, changes: dict[str, Any]
) -> None:
    ours = {line.title: line.ref for line in _plan(tmp_path, arms=[arm]).lines}
    settings = {"grpo": GRPO | changes | {"seed": 2}, "store": str(tmp_path), "tracking": {"enabled": False}}
    run = open_plan("grpo", config := GrpoFlowConfig.model_validate(settings))
    compose_grpo(config, run)
    (theirs,) = (line.ref for line in run.lines if line.title == "grpo")
    assert ours[f"grpo standard {arm}-seed2"] == theirs


def test_plan_of_the_whole_deployment_has_every_arm(tmp_path: Path) -> None:
    config = checked(LengthArmsConfig, yaml.safe_load(FILE.read_text()) | {"store": str(tmp_path)})
    compose(config, run := open_plan("length", config))
    assert len(_titles(run, "grpo")) == 5 * 3 and len(_titles(run, "evaluate")) == (5 * 3 + 1) * 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arms": ["plain", "plain"]}, "arms: one appears twice in"),
        ({"arms": ["gate"]}, r"arms\.0: .*'gated'"),
        ({"arms": []}, "arms: must not be empty"),
        ({"seeds": [1]}, "seeds: .*too few"),
        ({"models": {"standard": None}}, r"models\.standard: name a start model"),
        ({"grpo": {"length": {"reward": "gated"}}}, r"grpo\.length: this flow trains with the reward of every one"),
        ({"grpo": {"placebo": True}}, r"grpo\.placebo: this flow trains with the reward of every one"),
        ({"grpo": {"seed": 3}}, r"grpo\.seed: this flow trains with every one of `seeds`"),
        ({"grpo": {"reward": {"length_cost": 0.1}}}, r"grpo\.reward\.length_cost: would pull"),
        ({"weight": {"alpha": 0}}, r"weight\.alpha"),
        ({"evaluate": {"ratios": [0.5, 0.4]}}, r"evaluate\.ratios: \[0\.5, 0\.4\] need 1"),
        ({"evaluate": {"ratios": [1.0]}}, r"evaluate\.ratios: \[1\.0\] need 1"),
        ({"evaluate": {"questions": 1}}, r"evaluate\.questions: intervals are over questions"),
        ({"evaluate": {"auto_ratio": True}}, r"evaluate\.auto_ratio: asks for no length"),
    ],
)
def test_length_parameters_without_a_meaning_are_refused_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        checked(LengthArmsConfig, SMALL | settings)
    assert "\n" not in str(error.value)


def test_start_model_that_is_not_there_is_named_by_its_field(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^models\.dual: "):
        _plan(tmp_path, models={"standard": "latent-mini", "dual": "no-such-model"})
