"""The comparison of arms on the embedded model, end to end; a second run computes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.compare import compose, show
from flows.deployed import compare
from latent_core.config.compare import CompareConfig
from latent_core.store import ArtifactStore
from tasks.compare_arms import RESULTS
from tasks.run.plan import open_plan

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.slow]
SMALL: dict[str, Any] = {
    "benchmark": {"difficulties": [1, 2]},
    "seeds": [1, 2],
    "latent_arms": ["standard", "dual"],
    "compressors": ["latent-compressor", "random"],
    "units": ["word"],
    "ratios": [0.5],
    "resamples": 1000,
    "collect": {"questions": 12, "shard_questions": 6, "sampling": {"temperature": 0.7, "max_new_tokens": 128}},
    "compress": {"ratio_of": "target_tokens", "scoring": {"spans": True}},
    "prepare": {"policy": "all_ratios", "validation_share": 0.2},
    "train": {"steps": 2, "batch_size": 4, "micro_batch_size": 4, "max_length": 512, "eval_every": 2},
    "evaluate": {
        "questions": 6,
        "baselines": ["truncate"],
        "interventions": ["swap"],
        "intervention_ratios": [0.5],
        "sampling": {"max_new_tokens": 96},
    },
}


def test_comparison_of_arms_trains_every_seed_and_ends_in_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"runtime": {"threads_per_worker": 1, "retry_seconds": 0, "work_dir": str(tmp_path / "work")}}
    config = CompareConfig.model_validate(
        SMALL | places | {"store": str(tmp_path / "store"), "tracking": {"enabled": False}}
    )
    compare(config)
    store = ArtifactStore(config.store)
    (ref,) = [ref for ref in store.list() if ref.stage == "compare_arms"]
    report = store.require(ref)
    results = json.loads(report.read_bytes(RESULTS))
    assert [arm["name"] for arm in results["arms"]] == ["standard", "dual", "latent-compressor word", "random word"]
    assert all(arm["seeds"] == [1, 2] and arm["questions"] == 6 for arm in results["arms"])
    assert [family["title"] for family in results["families"]] == ["Dual against its controls", "Compressors"]
    assert len([ref for ref in store.list() if ref.stage == "train"]) == 6  # standard is the first compressor's arm
    made = {(item["arm"], item["reasoning"], item["ratio"]) for item in results["interventions"]}
    replaced = ("own reasoning", "swapped reasoning")
    assert made == {(arm, reasoning, 0.5) for arm in ("standard", "dual") for reasoning in replaced}
    assert {row["compressor"] for row in results["compressions"]} == {"standard", "random word"}
    show(report)
    shown = capsys.readouterr().out
    assert "Dual against its controls at equal tokens" in shown and "dual" in shown and "report.html" in shown
    compose(config, run := open_plan("compare", config))
    assert all(line.hit for line in run.lines)
