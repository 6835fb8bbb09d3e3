"""The main job on the embedded model: end to end, cached, resumed after a kill, repaired after damage."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.deployed import tokenskip_math
from flows.tokenskip_math import compose
from latent_core.config.tokenskip import TokenSkipConfig
from latent_core.evaluation.condition import Condition, Kind
from latent_core.store import Artifact, ArtifactStore
from tasks.evaluations import stored_evaluations, summary_of
from tasks.report import REPORT_HTML
from tasks.run.plan import open_plan

pytestmark = pytest.mark.usefixtures("prefect_server")
SMALL: dict[str, Any] = {
    "benchmark": {"difficulties": [1, 2]},
    "collect": {
        "questions": 24,
        "shard_questions": 6,
        "sampling": {"temperature": 0.7, "samples": 2, "max_new_tokens": 256},
    },
    "compress": {"ratios": [0.5], "scoring": {"spans": True}},
    "prepare": {"ratios": [1.0, 0.5], "policy": "all_ratios", "validation_share": 0.2},
    "train": {"steps": 4, "batch_size": 4, "micro_batch_size": 4, "max_length": 512, "eval_every": 2},
    "evaluate": {"questions": 8, "ratios": [1.0, 0.5], "sampling": {"max_new_tokens": 256}, "metrics": ["logprob"]},
    "runtime": {"threads_per_worker": 1, "retry_seconds": 0},
}


def _config(root: Path) -> TokenSkipConfig:
    places = {
        "store": str(root / "store"),
        "runtime": {**SMALL["runtime"], "work_dir": str(root / "work")},
        "tracking": {"uri": f"sqlite:///{root}/mlflow.db"},
    }
    return TokenSkipConfig.model_validate({**SMALL, **places})


def _plan(config: TokenSkipConfig) -> dict[str, bool]:
    run = open_plan("tokenskip-math", config)
    compose(config, run)
    return {line.title: line.hit for line in run.lines}


def _artifact(config: TokenSkipConfig, stage: str) -> Artifact:
    store = ArtifactStore(config.store)
    (ref,) = [ref for ref in store.list() if ref.stage == stage]
    return store.require(ref)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> TokenSkipConfig:
    """A run of the whole flow without any trouble."""
    config = _config(tmp_path_factory.mktemp("finished"))
    tokenskip_math(config)
    return config


def test_report_holds_every_condition_and_dual_reasoning_is_latent(finished: TokenSkipConfig) -> None:
    report = _artifact(finished, "report")
    found = {condition: summary_of(artifact) for condition, artifact in stored_evaluations(report).items()}
    plain, shortened = Condition("base", Kind.UNTRAINED, 1.0), Condition("base", Kind.TRUNCATE, 0.5)
    trained = {Condition(model, Kind.RATIO, ratio) for model in ("standard", "dual") for ratio in (1.0, 0.5)}
    prompted = {Condition("base", Kind.CONCISE), Condition("base", Kind.REDUCE, 0.5)}
    assert set(found) == trained | prompted | {plain, shortened}
    assert found[plain].accuracy.value >= 0.5
    assert found[shortened].truncated_rate > 0.5
    shares = [found[Condition(model, Kind.RATIO, 1.0)].latent_share for model in ("dual", "standard")]
    assert shares == [1.0, 0.0]
    for summary in found.values():
        scored = summary.logprob
        assert scored is not None and scored.scored + scored.malformed == summary.samples == 8
    cut, untrained = found[shortened].logprob, found[plain].logprob
    assert cut is not None and untrained is not None and untrained.mean is not None
    assert cut.malformed > untrained.malformed and -8 < untrained.mean.value < 0
    html = report.read_bytes(REPORT_HTML).decode()
    assert "Gold log-prob" in html
    linked = re.sub(r'<a href="http://[^"]*">[^<]*</a>', "", html)  # the flow run's page: followed, never loaded
    assert "<svg" in html and "http://" not in linked.replace("http://www.w3.org", "")


def test_every_stage_accounts_for_its_rows(finished: TokenSkipConfig) -> None:
    collected, prepared = _artifact(finished, "collect"), ArtifactStore(finished.store)
    assert collected.rows == collected.manifest.content.accounting["kept"] == 48
    examples = [prepared.require(ref).manifest.content.accounting for ref in prepared.list() if ref.stage == "prepare"]
    assert len(examples) == 2  # for the standard and for the dual model
    for counts in examples:
        left_out = sum(counts.get(reason, 0) for reason in ("wrong", "unparsed", "truncated", "not_compressed"))
        assert counts["kept"] == 2 * (48 - left_out)


def test_second_plan_is_all_hits_and_other_ratios_keep_collection(finished: TokenSkipConfig) -> None:
    assert all(_plan(finished).values())
    other = finished.model_copy(
        update={"compress": finished.compress.model_copy(update={"ratios": (0.5, 0.7)})},
    )
    plan = _plan(other)
    assert plan["collect"] and plan["score_words"] and plan["evaluate base"]
    assert not plan["compress_shard 1/4"] and not plan["train standard"]


@pytest.mark.slow  # with toy stages: tests/tasks/run/test_execution.py
def test_lost_shard_is_the_only_thing_computed_again(finished: TokenSkipConfig) -> None:
    before = _artifact(finished, "collect")
    victim = before.shards()[1]
    path = before.store.local_path(victim.key("samples.parquet"))
    assert path is not None
    path.unlink()
    attempts = {str(ref): before.store.get(ref.stage, ref.fingerprint) for ref in before.store.list()}
    tokenskip_math(finished)
    changed = [
        name
        for name, old in attempts.items()
        if old is not None and before.store.require(old.ref).manifest.record != old.manifest.record
    ]
    assert changed == []
    again = before.store.require(victim.ref)
    assert again.manifest.record["attempt"] != victim.manifest.record["attempt"]
    assert again.manifest.content == victim.manifest.content


def test_tracking_has_one_parent_and_a_nested_run_per_stage(finished: TokenSkipConfig) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(str(finished.tracking.uri))
    experiment = client.get_experiment_by_name(finished.tracking.experiment)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=500)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    first = min(parents, key=lambda run: run.info.start_time)
    nested = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == first.info.run_id]
    assert {run.data.tags["stage"] for run in nested} >= {"collect", "train", "evaluate", "report"}
    assert all(run.data.tags["cache"] == "miss" and run.info.status == "FINISHED" for run in nested)
    evaluation = next(run for run in nested if run.data.tags["stage"] == "evaluate")
    assert 0 <= evaluation.data.metrics["accuracy/value"] <= 1


def test_killed_collection_resumes_to_the_same_content(finished: TokenSkipConfig, tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL

    config = _config(tmp_path)
    store = ArtifactStore(config.store)
    shutil.copytree(finished.store, config.store)  # what follows from the collection need not be computed again
    for ref in list(store.list()):
        if ref.stage in ("collect", "collect_shard"):
            shutil.rmtree(Path(config.store, ref.key))
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    command = [sys.executable, "-m", "flows.cli", "run", "tokenskip-math", "-c", str(file)]
    environment = os.environ | {"PREFECT_API_URL": str(PREFECT_API_URL.value())}
    running = subprocess.Popen(command, env=environment, start_new_session=True)
    deadline = time.monotonic() + 480
    while sum(ref.stage == "collect_shard" for ref in store.list()) < 2:
        assert running.poll() is None and time.monotonic() < deadline, "collection ended before it could be killed"
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    survived = {ref: store.require(ref).manifest.record for ref in store.list()}
    assert not any(ref.stage == "collect" for ref in survived)
    tokenskip_math(config)
    for ref, record in survived.items():
        assert store.require(ref).manifest.record == record
    assert _artifact(config, "collect").manifest.content == _artifact(finished, "collect").manifest.content
