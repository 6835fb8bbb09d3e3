"""A tracking server that errs or dawdles costs seconds, once; what `track sync` rebuilds is what a run would log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from latent_core.config.runtime import TrackingConfig
from latent_core.identity import fingerprint
from latent_core.store import Artifact, ArtifactStore
from tasks.tracking import Tracker, open_client, sync

OWN_TAGS = {"cache", "mlflow.parentRunId", "prefect.flow_run_id"}


def _artifact(store: ArtifactStore, seed: int) -> Artifact:
    config = {"seed": seed, "nested": {"ratio": 0.5}}
    with store.begin("numbers", fingerprint("numbers", 1, config, {})) as out:
        with out.open("table.md") as handle:
            handle.write(b"| a |\n")
        return out.commit(config=config, accounting={"kept": 1}, metrics={"accuracy": {"value": 0.5}, "curve": [1, 2]})


@contextmanager
def _server(status: int, delay: float) -> Iterator[str]:
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            released.wait(delay)
            self.send_response(status)
            self.end_headers()

        do_GET = do_POST = do_PUT = do_PATCH = _answer

        def log_message(self, *words: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    released.set()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("status", "delay"), [(500, 0.0), (200, 60.0)], ids=["answers 500", "answers after a minute"])
def test_bad_tracking_server_costs_seconds_once_and_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, status: int, delay: float
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    store = ArtifactStore(tmp_path)
    artifacts = [_artifact(store, seed) for seed in range(5)]
    with _server(status, delay) as url, caplog.at_level(logging.WARNING):
        started = time.monotonic()
        tracker = Tracker.start(TrackingConfig(uri=url), "flow", TrackingConfig())
        for artifact in artifacts:
            tracker.stage(artifact, store, cached=False)
        tracker.finish(failed=False)
        assert time.monotonic() - started < 20
    assert sum("track sync" in message for message in caplog.messages) == 1


def _fields(config: TrackingConfig) -> dict[str, Any]:
    """Everything that the nested runs hold, by fingerprint."""
    client, experiment = open_client(config)
    found = {}
    for run in client.search_runs([experiment]):
        if "fingerprint" in run.data.tags:
            histories = {
                name: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]
                for name in run.data.metrics
            }
            tags = {name: value for name, value in run.data.tags.items() if name not in OWN_TAGS}
            times = (run.info.start_time, run.info.end_time, run.info.status, run.info.run_name)
            files = sorted(item.path for item in client.list_artifacts(run.info.run_id))
            found[run.data.tags["fingerprint"]] = (run.data.params, histories, tags, times, files)
    return found


def test_rebuilt_runs_equal_the_live_ones_field_by_field(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "store")
    live = TrackingConfig(uri=f"sqlite:///{tmp_path}/live/mlflow.db")
    rebuilt = TrackingConfig(uri=f"sqlite:///{tmp_path}/rebuilt/mlflow.db")
    tracker = Tracker.start(live, "flow", TrackingConfig())
    for seed in range(2):
        tracker.stage(_artifact(store, seed), store, cached=False)
    tracker.finish(failed=False)
    assert sync(store, rebuilt) == (2, 0)
    assert len(_fields(live)) == 2 and _fields(live) == _fields(rebuilt)
