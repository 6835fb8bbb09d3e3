"""The comparison of length rewards on the embedded model, end to end; a second run computes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.deployed import length
from flows.length import compose, show
from latent_core.config.length_arms import LengthArmsConfig
from latent_core.store import ArtifactStore
from tasks.compare_arms import RESULTS
from tasks.run.plan import open_plan

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.slow]
SMALL: dict[str, Any] = {
    "benchmark": {"difficulties": [1]},
    "seeds": [1, 2],
    "arms": ["plain", "gated"],
    "resamples": 1000,
    "weight": {"alpha": 0.5, "rate": 0.5, "reference_samples": 2},
    "grpo": {
        "questions": 4, "questions_per_step": 2, "steps": 2, "micro_batch_size": 4, "save_every": 1,
        "ratios": [1.0, 0.5], "rollout": {"samples": 2, "max_new_tokens": 128},
    },
    "evaluate": {"questions": 4, "ratios": [1.0, 0.7, 0.5], "sampling": {"max_new_tokens": 128}},
}  # fmt: skip


def test_comparison_of_length_rewards_trains_every_seed_and_ends_in_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"runtime": {"threads_per_worker": 1, "retry_seconds": 0, "work_dir": str(tmp_path / "work")}}
    config = LengthArmsConfig.model_validate(
        SMALL | places | {"store": str(tmp_path / "store"), "tracking": {"enabled": False}}
    )
    length(config)
    store = ArtifactStore(config.store)
    (ref,) = [ref for ref in store.list() if ref.stage == "compare_arms"]
    results = json.loads((report := store.require(ref)).read_bytes(RESULTS))
    arms = ["standard start", "standard plain", "standard gated"]
    assert [arm["name"] for arm in results["arms"]] == arms
    assert [item["arm"] for item in results["lengths"]] == arms
    assert [family["title"] for family in results["length_families"]] == ["Standard"]
    assert all([at["ratio"] for at in item["between"]] == [0.7] for item in results["lengths"])
    metrics = [store.require(ref).manifest.content.metrics for ref in store.list() if ref.stage == "grpo"]
    assert sorted(len(found.get("length", [])) for found in metrics) == [0, 0, 2, 2]
    show(report)
    shown = capsys.readouterr().out
    assert "Lengths asked for" in shown and "Ratios never trained" in shown and "report.html" in shown
    assert "Standard: lengths kept" in shown
    compose(config, run := open_plan("length", config))
    assert all(line.hit for line in run.lines)
