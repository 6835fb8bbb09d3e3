"""Direct answers, self-training and reinforcement learning, end to end in small; a second run computes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.launch.registry import find_flow
from latent_core.config.base import StageConfig
from latent_core.dual import build_dual
from latent_core.models.source import open_model
from latent_core.report import ReportEntry, build_entries
from latent_core.store import Artifact, ArtifactRef, ArtifactStore
from tasks.evaluations import evaluation_of, stored_evaluations
from tasks.grpo import ROLLOUTS
from tasks.run.plan import open_plan
from tasks.tables import SELECTED

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.slow]
SAMPLING = {"max_new_tokens": 160, "batch_tokens": 65_536}
TRAIN = {
    "steps": 30,
    "batch_size": 8,
    "micro_batch_size": 8,
    "max_length": 512,
    "eval_every": 30,
    "learning_rate": 2e-3,
}
SMALL: dict[str, dict[str, Any]] = {
    "direct": {"prepare": {"questions": 60}},
    "concise": {
        "collect": {"questions": 8, "shard_questions": 4, "sampling": {"samples": 4, **SAMPLING}},
        "few_shot": {"sampling": {"samples": 1, **SAMPLING}, "exemplars": {"count": 3}, "per_prompt": 1},
    },
}


def _run(flow: str, root: Path, **settings: Any) -> tuple[StageConfig, Artifact]:
    config = find_flow(flow).config.model_validate(
        {
            "benchmark": {"difficulties": [1, 2]},
            "train": {**TRAIN, "method": "lora", "lora_rank": 32, "lora_alpha": 64},
            "evaluate": {"questions": 8, "baselines": [], "sampling": SAMPLING},
            "store": str(root / "store"),
            "runtime": {"threads_per_worker": 1, "work_dir": str(root / "work")},
            "tracking": {"enabled": False},
            **SMALL[flow],
            **settings,
        }
    )
    found = find_flow(flow).flow()(config)
    return config, ArtifactStore(str(root / "store")).require(ArtifactRef("report", found["fingerprint"]))


def _entries(report: Artifact) -> dict[tuple[str, str], ReportEntry]:
    """The entries of a finished report by model and condition, as its page was made of them."""
    evaluations = [evaluation_of(condition, artifact) for condition, artifact in stored_evaluations(report).items()]
    reference = report.manifest.content.identity.get("reference")
    return {(entry.model, entry.name): entry for entry in build_entries(evaluations, reference=reference)}


def _all_hits(flow: str, config: StageConfig) -> bool:
    entry = find_flow(flow)
    run = open_plan(entry.name, config)
    entry.compose(config, run)
    return all(line.hit for line in run.lines)


def test_direct_model_answers_at_once_and_is_compared_with_the_untrained(tmp_path: Path) -> None:
    config, report = _run("direct", tmp_path)
    entries = _entries(report)
    assert set(entries) == {("base", "untrained"), ("direct", "trained")}
    direct = entries["direct", "trained"]
    assert direct.summary.tokens.value < 30 < entries["base", "untrained"].summary.tokens.value
    assert direct.achieved_ratio is not None and direct.achieved_ratio < 0.3 and direct.difference is not None
    assert _all_hits("direct", config)


@pytest.mark.parametrize("text_format", ["xml", "raw_text"])
def test_concise_model_writes_the_format_it_was_trained_on(text_format: str, tmp_path: Path) -> None:
    config, report = _run("concise", tmp_path, text_format=text_format)
    entries = _entries(report)
    assert set(entries) == {("base", "untrained"), ("concise", "trained")}
    mark = "<answer>" if text_format == "xml" else "The answer is"
    shown = [row["completion"] for row in entries["concise", "trained"].samples]
    assert shown and sum(mark in text for text in shown) >= len(shown) / 2
    store = ArtifactStore(str(tmp_path / "store"))
    (selected,) = [store.require(ref) for ref in store.list() if ref.stage == "select_shortest"]
    questions = [row["question_id"] for row in selected.rows_of(SELECTED.file)]
    assert len(questions) == len(set(questions)) > 0
    counts = selected.manifest.content.accounting
    assert sum(counts.values()) == 8 * 4 + 8 * 1
    assert _all_hits("concise", config)


def test_reinforced_dual_model_is_evaluated_beside_the_one_it_started_from(tmp_path: Path) -> None:
    build_dual(open_model("latent-mini").directory, tmp_path / "dual")
    config = find_flow("grpo").config.model_validate(
        {
            "model": str(tmp_path / "dual"),
            "benchmark": {"difficulties": [1]},
            "grpo": {
                "questions": 8,
                "questions_per_step": 2,
                "steps": 2,
                "rollout": {"samples": 4, **SAMPLING},
                "micro_batch_size": 4,
                "learning_rate": 1e-5,
            },
            "evaluate": {"questions": 8, "sampling": SAMPLING},
            "store": str(tmp_path / "store"),
            "runtime": {"threads_per_worker": 1, "work_dir": str(tmp_path / "work")},
            "tracking": {"enabled": False},
        }
    )
    found = find_flow("grpo").flow()(config)
    store = ArtifactStore(str(tmp_path / "store"))
    entries = _entries(store.require(ArtifactRef("report", found["fingerprint"])))
    assert set(entries) == {("policy", "start 1"), ("policy", "grpo 1")}
    assert entries["policy", "grpo 1"].difference is not None
    (trained,) = [ref for ref in store.list() if ref.stage == "grpo"]
    rows = list(store.require(trained).rows_of(ROLLOUTS))
    assert len(rows) == 16 and all(row["latent_tokens"] == row["reasoning_tokens"] > 0 for row in rows)
    assert _all_hits("grpo", config)
