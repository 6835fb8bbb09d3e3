"""The stage `report_agents`: page, table and numbers over finished plays and trainings."""

from __future__ import annotations

import json

import pytest

from latent_core.report.agents import OPTIMUM, PLACEBO, RANDOM, START, TRAINED, Member
from latent_core.report.table import read_markdown
from latent_core.rl.rollouts.agent_rollouts import agent_schema
from latent_core.store import Artifact, ArtifactRef
from tasks.agent import ROLLOUTS
from tasks.inputs import EnvironmentInput
from tasks.report_agents import (
    REPORT_HTML,
    RESULTS,
    TABLE_MARKDOWN,
    ReportAgents,
    ReportAgentsInputs,
    _returns,
    report_agents,
)
from tasks.tables import TRAIN, TURNS, VALIDATION, Table
from tests.latent_core.report.test_agents import RANDOM_PLAY, played, steps, turn
from tests.support.stage_bench import StageBench

_ROLLOUTS = Table(ROLLOUTS, agent_schema)


def _played(bench: StageBench, value: float, aborted: int = 0) -> ArtifactRef:
    """Six episodes of two turns, worth 0 to 5; their prompts are 101 to 105, of the first two the same."""
    rows = [
        turn(
            place,
            seed=seed,
            context_ids=[9] if place else [7, 100 + max(seed, 1)],
            **{"return": float(seed), "end": "terminated" if place else None, "success": False},
        )
        for seed in range(6)
        for place in range(2)
    ]
    counts = {"kept": 6, "aborted": aborted}
    return bench.input("play", {TURNS: rows}, metrics=played(value), accounting=counts)


@pytest.fixture
def made(bench: StageBench) -> tuple[Artifact, ReportAgentsInputs]:
    members = [Member(arm, seed) for arm in (TRAINED, PLACEBO) for seed in (1, 2)]
    measured = {Member(START): _played(bench, 0.3)}
    measured |= {member: _played(bench, 0.5, aborted=int(member == members[3])) for member in members}
    drawn = [
        turn(place, context_ids=[9] if place else [7, prompt], end="terminated", taught=True, step=0)
        for prompt in (101, 105, 200)
        for place in range(2)
    ]
    trained = {
        member: bench.input(
            "agent", {_ROLLOUTS: drawn}, metrics={"steps": steps(0.1)}, accounting={"kept": 4, "aborted": 0}
        )
        for member in members
    }
    examples = bench.input(
        "legal_play",
        {
            TRAIN: [{"input_ids": [7, 105, 1, 2], "labels": [-100, -100, 1, 2]}],
            VALIDATION: [{"input_ids": [7, 102, 1, 9], "labels": [-100, -100, 1, -100]}],
        },
    )
    reference = bench.input("reference_play", metrics={"random": RANDOM_PLAY, "optimum": 1.0})
    inputs = ReportAgentsInputs(EnvironmentInput.find("frozen_lake"), measured, trained, reference, examples)
    return bench.perform(report_agents.call(ReportAgents(title="Agents"), inputs)), inputs


def test_report_shows_three_episodes_of_one_model_an_arm(made: tuple[Artifact, ReportAgentsInputs]) -> None:
    page = made[0].read_bytes(REPORT_HTML).decode()
    assert page.count("<details>") == 9
    for wanted in ("best: return 5, 2 turns", "middle: return 3, 2 turns", "worst: return 0, 2 turns"):
        assert page.count(wanted) == 3, wanted
    for arm in ("start", "trained-seed1", "placebo-seed1"):
        assert f"<h3>{arm}</h3>" in page
    assert "<h3>trained-seed2</h3>" not in page


def test_report_tells_what_the_environment_did_not_answer(made: tuple[Artifact, ReportAgentsInputs]) -> None:
    page = made[0].read_bytes(REPORT_HTML).decode()
    assert page.count("which are left out") == 1
    assert "play/placebo-seed2: the environment gave no answer for 1 of the instances, which are left out." in page


def test_report_counts_the_measured_instances_that_training_or_the_format_start_had(
    made: tuple[Artifact, ReportAgentsInputs],
) -> None:
    assert json.loads(made[0].read_bytes(RESULTS))["met"] == {
        "instances": 6, "in_training": 3, "in_format_start": 2,
    }  # fmt: skip
    page = made[0].read_bytes(REPORT_HTML).decode()
    assert "Of the 6 instances that are measured, 3 begin as one that an agent trained on, and 2 as one of" in page


def test_report_results_name_every_input_and_the_table_every_arm(made: tuple[Artifact, ReportAgentsInputs]) -> None:
    report, inputs = made
    results = json.loads(report.read_bytes(RESULTS))
    found = {role: ref for role, ref in inputs.roles().items() if isinstance(ref, ArtifactRef)}
    assert results["fingerprints"] == {role: f"{ref.stage}/{ref.fingerprint}" for role, ref in found.items()}
    differences = {one["control"]: one for one in results["differences"]}
    assert {name: (one["value"], one["instances"]) for name, one in differences.items()} == {
        START: (0.0, 6), PLACEBO: (0.0, 6),
    }  # fmt: skip
    assert results["environment"] == {"name": "frozen_lake", "fingerprint": inputs.environment.fingerprint}
    rows = read_markdown(report.read_bytes(TABLE_MARKDOWN).decode()).rows
    assert [row[0] for row in rows] == [RANDOM, START, TRAINED, PLACEBO, OPTIMUM]
    assert {"figures/learning.svg", "figures/diagnostics.svg"} <= {one.path for one in report.manifest.content.files}


def test_return_of_an_instance_is_the_mean_of_its_episodes_and_not_of_their_turns(bench: StageBench) -> None:
    rows = [
        turn(0, seed=1, sample=0, **{"return": 1.0}),
        turn(1, seed=1, sample=0, end="terminated", **{"return": 1.0}),
        turn(0, seed=1, sample=1, end="format", **{"return": 4.0}),
        turn(0, seed=2, sample=0, end="truncated", **{"return": -1.0}),
    ]
    ref = bench.input("play", {TURNS: rows})
    artifact = bench.store.get(ref.stage, ref.fingerprint)
    assert artifact is not None and _returns(artifact) == {1: 2.5, 2: -1.0}
