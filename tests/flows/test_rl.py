"""Which stages the flow `rl` runs, in its plans, and what it refuses: nothing is computed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flows.launch.parameters import checked
from flows.launch.registry import find_flow
from latent_core.config.agents import AgentConfig, Estimator
from latent_core.config.rl import RlFlowConfig
from latent_core.dual import build_dual
from latent_core.errors import InputError
from latent_core.models.source import open_model
from latent_core.rl.environments.bandit import Bandit
from latent_core.store import ArtifactRef, ArtifactStore, begin
from tasks.inputs import EnvironmentInput
from tasks.report_agents import ReportAgentsInputs
from tasks.run.plan import open_plan

ENTRY = find_flow("rl")


def _plan(root: Path, **settings: Any) -> dict[str, ArtifactRef]:
    config = checked(RlFlowConfig, {**settings, "store": str(root), "tracking": {"enabled": False}})
    run = open_plan("rl", config)
    ENTRY.compose(config, run)
    return {line.title: line.ref for line in run.lines}


def test_every_seed_trains_an_agent_and_a_placebo_from_one_start(tmp_path: Path) -> None:
    assert list(_plan(tmp_path, seeds=[1, 2])) == [
        "legal_play",
        "train format",
        "reference_play",
        "play start",
        "agent trained-seed1",
        "play trained-seed1",
        "agent trained-seed2",
        "play trained-seed2",
        "agent placebo-seed1",
        "play placebo-seed1",
        "agent placebo-seed2",
        "play placebo-seed2",
        "report_agents",
    ]


def test_model_without_a_format_start_and_placebo_is_trained_as_it_is(tmp_path: Path) -> None:
    titles = list(_plan(tmp_path, seeds=[4], placebo=False, format_start=None))
    assert titles == ["reference_play", "play start", "agent trained-seed4", "play trained-seed4", "report_agents"]


def test_another_seed_is_another_agent_and_leaves_the_rest_as_it_was(tmp_path: Path) -> None:
    one, two = (_plan(tmp_path, seeds=seeds, environment="bandit") for seeds in ([1], [1, 2]))
    assert {title for title in one if one[title] != two[title]} == {"report_agents"}
    assert two["agent trained-seed1"] != two["agent trained-seed2"] != two["agent placebo-seed2"]


def test_unknown_environment_is_refused_in_the_plan_with_near_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^environment: there is no 'frozen_lak'; did you mean frozen_lake") as caught:
        _plan(tmp_path, environment="frozen_lak")
    assert "\n" not in str(caught.value)


def test_format_start_where_there_is_no_format_is_refused_in_the_plan(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^format_start: static takes whole texts.* set format_start to null"):
        _plan(tmp_path, environment="static")
    assert "legal_play" not in _plan(tmp_path, environment="static", format_start=None)


@pytest.mark.parametrize("environment", ["sudoku", "code", "search_qa"])
def test_format_start_where_nothing_can_be_played_at_random_is_refused_in_the_plan(
    tmp_path: Path, environment: str
) -> None:
    with pytest.raises(InputError, match=rf"^format_start: {environment} lists no legal actions.* set format_start to"):
        _plan(tmp_path, environment=environment)


def test_models_are_measured_in_another_environment_where_one_is_named(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"environment": "static", "format_start": None, "seeds": [1], "placebo": False}
    one, two = _plan(tmp_path, **settings), _plan(tmp_path, **settings, play_environment="static:word_problems@test")
    assert {title for title in one if one[title] == two[title]} == {"agent trained-seed1"}


def test_report_is_about_the_environment_that_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def inputs(measured: EnvironmentInput, *others: Any) -> ReportAgentsInputs:
        told.append(measured.name)
        return ReportAgentsInputs(measured, *others)

    monkeypatch.setattr("flows.rl.ReportAgentsInputs", inputs)
    _plan(tmp_path, environment="static", format_start=None, play_environment="static:word_problems@test")
    assert told == ["static:word_problems@test"]


def test_environment_that_is_played_in_another_way_cannot_measure(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^play_environment: static is not played as frozen_lake is"):
        _plan(tmp_path, play_environment="static")


@pytest.mark.parametrize("section", ["agent", "play"])
def test_limit_of_turns_above_the_environments_own_is_refused(tmp_path: Path, section: str) -> None:
    with pytest.raises(InputError, match=rf"^{section}\.rules\.max_turns: bandit ends after 4 turns, so 9 change"):
        _plan(tmp_path, environment="bandit", **{section: {"rules": {"max_turns": 9}}})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": [1, 1]}, r"^seeds: \[1, 1\] must be different"),
        ({"seeds": []}, "^seeds: "),
        ({"agent": {"seed": 3}}, "agent.seed: this flow trains with every one of `seeds`"),
        ({"agent": {"placebo": True}}, "agent.placebo: the placebo is an arm"),
        ({"agent": {"rollout": {"importance_cap": 3}}}, r"^agent\.rollout\.importance_cap: transformers samples with"),
        (
            {"agent": {"rollout": {"vllm": {"tensor_parallel_size": 2}}}},
            r"^agent\.rollout\.vllm\.tensor_parallel_size: ",
        ),
        ({"agent": {"gamma": 0.5}}, r"agent\.gamma: dr_grpo takes no discount from turn to turn; leave it 1"),
        ({"agent": {"gamma": 0.5, "estimator": "ppo"}}, r"agent\.gamma: .* set agent\.gae\.gamma_turn"),
        (
            {"agent": {"rollout": {"max_new_tokens": 64, "max_episode_tokens": 64}}},
            r"agent\.rollout\.max_episode_tokens: 64 leave no room for a prompt beside a turn",
        ),
        ({"agent": {"estimator": "gigpo"}}, "placebo: permutes whole returns, which gigpo does not learn from"),
    ],
)
def test_setting_that_another_one_stands_for_is_refused_by_its_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked(RlFlowConfig, settings)


def test_estimator_that_needs_states_is_refused_in_the_plan_where_none_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"environment": "bandit", "placebo": False, "agent": {"estimator": "gigpo"}}
    assert "agent trained-seed1" in _plan(tmp_path, **settings)
    monkeypatch.setattr(Bandit, "reset", lambda self, seed: ("Choose.", {"legal": ("a",)}))
    with pytest.raises(InputError, match=r"^agent\.estimator: gigpo compares turns that began in the same state"):
        _plan(tmp_path, **settings)


def test_learning_from_latents_alone_needs_a_model_that_has_them(tmp_path: Path) -> None:
    build_dual(open_model("latent-mini").directory, dual_dir := tmp_path / "dual")
    settings: dict[str, Any] = {"environment": "bandit", "agent": {"latent_only": True}}
    with pytest.raises(InputError, match=r"^agent\.latent_only: needs a dual model, and latent-mini has no latent tok"):
        _plan(tmp_path, **settings)
    latent = _plan(tmp_path, **settings, model=str(dual_dir))
    whole = _plan(tmp_path, environment="bandit", model=str(dual_dir))
    changed = {title.partition(" ")[0] for title in latent if latent[title] != whole[title]}
    assert changed == {"agent", "play", "report_agents"} and latent["play start"] == whole["play start"]


def test_discount_marks_the_rule_that_groups_are_filtered_by() -> None:
    plain = AgentConfig(estimator=Estimator.TURN_LEVEL)
    assert "filter_rule" not in plain.identity()
    assert plain.model_copy(update={"gamma": 0.5}).identity()["filter_rule"] == "discounted"


class _Registering:
    """A run that remembers what it is told to register."""

    def __init__(self) -> None:
        self.registered: dict[str, ArtifactRef] = {}

    def register_models(self, name: str | None, trained: Mapping[str, ArtifactRef]) -> None:
        assert name == "lake"
        self.registered |= trained


def test_trained_agents_are_registered_and_placebos_are_not(tmp_path: Path) -> None:
    parents = {
        f"agent/{arm}-seed{seed}": ArtifactRef("agent", f"{number}" * 64)
        for number, (arm, seed) in enumerate([("trained", 1), ("trained", 2), ("placebo", 1), ("placebo", 2)])
    }
    with begin(ArtifactStore(tmp_path), ArtifactRef("report_agents", "a" * 64)) as out:
        report = out.commit(parents=parents)
    run = _Registering()
    ENTRY.conclude(checked(RlFlowConfig, {"seeds": [1, 2], "tracking": {"register_as": "lake"}}), run, report)  # type: ignore[arg-type]
    assert run.registered == {
        "agent-seed1": parents["agent/trained-seed1"],
        "agent-seed2": parents["agent/trained-seed2"],
    }


def test_estimator_of_turns_is_taken_without_a_placebo() -> None:
    checked(RlFlowConfig, {"agent": {"estimator": "gigpo"}, "placebo": False})


def test_vllm_that_is_not_installed_is_refused_before_anything_runs_unless_nothing_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"seeds": [1], "placebo": False, "agent": {"rollout": {"engine": "vllm"}}}
    monkeypatch.setattr("flows.parts.engines.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^agent\.rollout\.engine: vllm is not installed; run make .*transformers$"):
        _plan(tmp_path, **settings)
    _plan(tmp_path, **settings, runtime={"runner": "ray"})  # whose workers may be elsewhere
    monkeypatch.setattr("flows.parts.engines.find_spec", lambda name: object())
    agent = _plan(tmp_path, **settings)["agent trained-seed1"]
    monkeypatch.setattr("flows.parts.engines.find_spec", lambda name: None)
    with begin(ArtifactStore(str(tmp_path)), agent) as out:
        out.commit(parents={})
    assert _plan(tmp_path, **settings)["agent trained-seed1"] == agent
