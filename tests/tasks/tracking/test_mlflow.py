"""Tracking: rebuilt from the store alone, and never in the way of the work."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

import pyarrow as pa
import pytest

from latent_core.config.runtime import TrackingConfig
from latent_core.identity import fingerprint
from latent_core.store import ArtifactRef, ArtifactStore, begin
from tasks.tracking.mlflow import open_client, sync
from tasks.tracking.stage_runs import flat_numbers
from tasks.tracking.tracker import Tracker

SCHEMA = pa.schema([("number", pa.int64())])


def _store(root: Path) -> ArtifactStore:
    store = ArtifactStore(root / "store")
    for index in range(2):
        config = {"seed": index}
        with begin(store, ArtifactRef("numbers", fingerprint("numbers", 1, config, {}))) as out:
            with out.table("numbers.parquet", SCHEMA) as table:
                table.add({"number": index})
            out.commit(config=config, accounting={"kept": 1, "wrong": 2}, metrics={"ratios": [{"achieved": 0.5}]})
    return store


def test_sync_logs_every_artifact_once(tmp_path: Path) -> None:
    store, config = _store(tmp_path), TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db")
    assert sync(store, config) == (0, 2, 0, 0)
    assert sync(store, config) == (0, 0, 2, 0)
    client, experiment = open_client(config)
    run = client.search_runs([experiment])[0]
    assert run.data.metrics["ratios/0/achieved"] == 0.5 and run.data.metrics["rows/wrong"] == 2
    assert run.data.tags["artifact_uri"].endswith(run.data.tags["fingerprint"])


def test_what_was_measured_at_steps_is_logged_as_a_curve(tmp_path: Path, tables: Path) -> None:
    shutil.copy(tables, tmp_path / "mlflow.db")
    store, config = ArtifactStore(tmp_path / "store"), TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db")
    steps = [{"step": 0, "return": 0.25}, {"step": 3, "return": 0.75}]
    with begin(store, ArtifactRef("agent", "a" * 64)) as out:
        out.commit(metrics={"steps": steps, "parameters": 7, "ratios": [{"achieved": 0.5}]})
    assert sync(store, config).stages == 1
    client, experiment = open_client(config)
    run = client.search_runs([experiment])[0]
    found = client.get_metric_history(run.info.run_id, "steps/return")
    assert [(metric.step, metric.value) for metric in found] == [(0, 0.25), (3, 0.75)]
    assert run.data.metrics.keys() == {"steps/return", "parameters", "ratios/0/achieved", "seconds"}


def test_sync_leaves_out_a_page_that_is_not_what_was_written(
    tmp_path: Path, tables: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(tables, tmp_path / "mlflow.db")
    config = TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db")
    store = ArtifactStore(tmp_path / "pages")
    with begin(store, ArtifactRef("report", "a" * 64)) as out:
        with out.open("report.html") as page:
            page.write(b"<p>104 tokens</p>")
        report = out.commit()
    path = store.local_path(report.key("report.html"))
    assert path is not None
    path.write_bytes(b"<p>904 tokens</p>")
    assert sync(store, config).stages == 0
    assert "report/aaaaaaaaaaaa is damaged and was left out" in caplog.text
    path.write_bytes(b"<p>104 tokens</p>")
    assert sync(store, config).stages == 1


def test_dead_tracking_server_costs_seconds_and_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        store = _store(tmp_path)
        tracker = Tracker(TrackingConfig(uri="http://127.0.0.1:9"), "flow", TrackingConfig(), store)
        for ref in store.list():
            tracker.stage(store.require(ref), cached=False)
        tracker.finish(failed=False)
    assert time.monotonic() - started < 60  # a few on an idle machine; MLflow's own defaults take four minutes
    assert sum("track sync" in message for message in caplog.messages) == 1


def test_flat_numbers_of_nested_metrics_have_paths() -> None:
    nested = {"a": {"b": 1, "c": "text", "d": True}, "e": [0.5, {"f": 2}]}
    assert dict(flat_numbers(nested)) == {"a/b": 1.0, "e/0": 0.5, "e/1/f": 2.0}
