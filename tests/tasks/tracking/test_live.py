"""What is on MLflow's page while a run lasts: the losses of training, and the machine where that is asked for."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from latent_core.config.runtime import TrackingConfig
from latent_core.config.tokenskip import TokenSkipConfig
from latent_core.errors import StageFailed
from latent_core.store import ArtifactStore, begin
from tasks.stage import StageCall
from tasks.tracking.mlflow import open_client, sync
from tasks.tracking.tracker import Tracker
from tasks.workers.pool import Progress, workplace_for
from tests.support.toy_stages import Numbers, ToyInputs, count_up
from tests.support.tracked import database

FIRST, SECOND = {"step": 10.0, "loss": 2.0}, {"step": 20.0, "loss": 1.5}


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


@pytest.fixture
def call(tmp_path: Path) -> StageCall:
    return count_up.call(Numbers(count=1, log=str(tmp_path / "log")), ToyInputs(), "dual")


def _tracker(tracking: TrackingConfig, store: ArtifactStore, call: StageCall) -> Tracker:
    tracker = Tracker(tracking, "compare", TokenSkipConfig(), store)
    tracker.expect(call)
    return tracker


def _progress(call: StageCall, done: int, *measured: dict[str, float]) -> Progress:
    return Progress(call.title, call.ref.fingerprint, done, 30, 0, measured)


def _runs(tracking: TrackingConfig, wanted: str = "") -> list[Any]:
    client, experiment = open_client(tracking)
    return list(client.search_runs([experiment], wanted))


def _losses(tracking: TrackingConfig, run: Any) -> list[tuple[int, float]]:
    client, _ = open_client(tracking)
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "train/loss")]


def test_losses_are_there_while_training_lasts_and_only_once_when_it_is_done(
    tmp_path: Path, tables: Path, store: ArtifactStore, call: StageCall
) -> None:
    tracking = database(tables, tmp_path / "live")
    tracker = _tracker(tracking, store, call)
    tracker.follow(_progress(call, 10, FIRST))
    tracker.follow(_progress(call, 20, FIRST, SECOND))  # from the beginning, after an interruption
    tracker.describe()  # waits until all is written
    (run,) = _runs(tracking, "tags.stage = 'numbers'")
    assert run.info.status == "RUNNING" and run.info.run_name.startswith("numbers dual")
    assert _losses(tracking, run) == [(10, 2.0), (20, 1.5)]
    with begin(store, call.ref) as out:
        artifact = out.commit(config=call.config, record={"curve": [FIRST, SECOND, {"step": 30, "loss": 1.0}]})
    tracker.stage(artifact, cached=False, label="dual")
    tracker.finish(failed=False)
    (done,) = _runs(tracking, "tags.stage = 'numbers'")
    assert done.info.run_id == run.info.run_id and done.info.status == "FINISHED"
    assert "latent.live" not in done.data.tags
    assert _losses(tracking, done) == [(10, 2.0), (20, 1.5), (30, 1.0)]


def test_training_that_fails_leaves_its_losses_in_a_failed_run_that_sync_keeps(
    tmp_path: Path, tables: Path, store: ArtifactStore, call: StageCall
) -> None:
    tracking = database(tables, tmp_path / "live")
    tracker = _tracker(tracking, store, call)
    tracker.follow(_progress(call, 10, FIRST))
    tracker.finish(failed=True, why=StageFailed("numbers dual: no"))
    sync(store, tracking)
    (run,) = _runs(tracking, "tags.stage = 'numbers'")
    assert run.info.status == "FAILED" and run.data.metrics == {"train/loss": 2.0}


def test_training_that_was_not_done_when_its_run_finished_is_no_finished_run_of_it(
    tmp_path: Path, tables: Path, store: ArtifactStore, call: StageCall
) -> None:
    """Another run may have made the artifact meanwhile."""
    tracking = database(tables, tmp_path / "live")
    tracker = _tracker(tracking, store, call)
    tracker.follow(_progress(call, 10, FIRST))
    tracker.finish(failed=False)
    (run,) = _runs(tracking, "tags.stage = 'numbers'")
    assert run.info.status == "KILLED"


def test_what_a_stage_measured_goes_out_once_with_its_next_progress(
    tmp_path: Path, store: ArtifactStore, call: StageCall
) -> None:
    told: list[Progress] = []
    workplace = workplace_for(call, store, tmp_path, told.append)
    workplace.measured([FIRST, SECOND])
    workplace.progress(20, 30, 0)
    workplace.progress(21, 30, 0)
    assert [progress.measured for progress in told] == [(FIRST, SECOND), ()]


@pytest.mark.parametrize("wanted", [False, True])
def test_machine_is_measured_only_where_that_is_asked_for(
    tmp_path: Path, tables: Path, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    tracking = database(tables, tmp_path / "live").model_copy(update={"system_metrics": wanted})
    tracker = Tracker(tracking, "compare", TokenSkipConfig(), store)
    tracker.describe()
    (parent,) = _runs(tracking)
    client, _ = open_client(tracking)
    deadline = time.monotonic() + 60
    while wanted and not client.get_run(parent.info.run_id).data.metrics and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    tracker.finish(failed=False)
    measured = client.get_run(parent.info.run_id).data.metrics
    assert ("system/cpu_utilization_percentage" in measured) is wanted
