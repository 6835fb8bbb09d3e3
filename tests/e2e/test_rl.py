"""Agents end to end in small: format start, training beside a placebo, held-out play, references, one page.

Nothing is learned in so few steps; what is looked at is that every stage reads what the one before wrote.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.here import run_here
from flows.launch.registry import find_flow
from latent_core.report.agents import OPTIMUM, PLACEBO, RANDOM, START, TRAINED, Agents, Member
from latent_core.report.table import read_markdown
from tasks.report_agents import REPORT_HTML, RESULTS, TABLE_MARKDOWN

pytestmark = pytest.mark.slow


def test_agents_on_a_frozen_lake_are_held_against_every_reference_and_a_second_run_computes_nothing(
    tmp_path: Path,
) -> None:
    entry = find_flow("rl")
    config = entry.config.model_validate(
        {
            "environment": "frozen_lake",
            "format_start": {
                "play": {"episodes": 8, "validation_episodes": 2},
                "train": {"steps": 2, "batch_size": 4, "micro_batch_size": 4, "eval_every": 2},
            },
            "agent": {
                "steps": 2,
                "instances_per_step": 2,
                "rollout": {"samples": 2, "max_new_tokens": 32, "max_episode_tokens": 512},
                "rules": {"max_turns": 3},
                "micro_batch_size": 4,
                "learning_rate": 1e-4,
            },
            "seeds": [1, 2],
            "play": {"instances": 4, "rules": {"max_turns": 3}, "sampling": {"max_new_tokens": 32}},
            "store": str(tmp_path / "store"),
            "runtime": {"threads_per_worker": 1, "work_dir": str(tmp_path / "work")},
            "tracking": {"enabled": False},
        }
    )
    report, computed = run_here("rl", entry, config)
    assert len(computed) == 13
    results = json.loads(report.read_bytes(RESULTS))
    assert [row["arm"] for row in results["arms"]] == [RANDOM, START, TRAINED, PLACEBO, OPTIMUM]
    by_arm = {row["arm"]: row for row in results["arms"]}
    assert by_arm[TRAINED]["seeds"] == [1, 2] and by_arm[OPTIMUM]["value"] == 1
    assert [sum(by_arm[arm]["ends"].values()) for arm in (START, TRAINED, PLACEBO)] == [4, 8, 8]
    assert all(len(model["steps"]) == 2 for model in results["models"] if model["arm"] != START)
    again = Agents(
        results["title"],
        {Member(one["arm"], one["seed"]): one["play"] for one in results["models"]},
        {Member(one["arm"], one["seed"]): one["steps"] for one in results["models"] if "steps" in one},
        results["reference"],
        {},
    )
    rows = [asdict(row) | {"interval": row.interval and row.interval._asdict()} for row in again.arms()]
    assert json.loads(json.dumps(rows)) == results["arms"]
    assert [one["instances"] for one in results["differences"]] == [4, 4]
    assert len(read_markdown(report.read_bytes(TABLE_MARKDOWN).decode()).rows) == 5
    page = report.read_bytes(REPORT_HTML).decode()
    assert page.count("<details") >= 3 and "<script" not in page and 'id="figure-learning"' in page
    assert run_here("rl", entry, config)[1] == []
