"""A flow run that is tried again: each attempt is journalled, and its MLflow run ends as the last one did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from latent_core.config.runtime import RuntimeConfig, TrackingConfig
from latent_core.store import ArtifactStore
from tasks.run.execution import open_run
from tasks.tracking import tracker as tracker_module
from tasks.tracking.journal import FOLDER, journals, runs
from tasks.tracking.mlflow import open_client, sync
from tasks.tracking.tracker import Tracker
from tests.support.toy_stages import Numbers, SumInputs, ToyConfig, ToyInputs, add_up, count_up
from tests.support.tracked import database, fields_of


def _config(tmp_path: Path, tracking: TrackingConfig) -> ToyConfig:
    runtime = RuntimeConfig(work_dir=str(tmp_path / "work"), retry_seconds=0)
    return ToyConfig(store=str(tmp_path / "store"), runtime=runtime, tracking=tracking)


def _run_with_attempts(config: ToyConfig, log: str, *endings: str) -> None:
    """A real flow that Prefect tries again: an attempt with an ending fails with it, after a stage of its own."""
    from prefect import flow

    left = list(endings)

    @flow(name="toy", retries=len(endings) - 1)
    def toy() -> None:
        with open_run("toy", config) as run:
            ending = left.pop(0)
            first = run.stage(count_up, Numbers(count=1, log=log), ToyInputs())
            second = run.stage(add_up, Numbers(count=len(left), log=log), SumInputs((first,)))
            run.artifact(second)
            run.tag({"latent.setting": ending or "last"})
            if ending:
                raise RuntimeError(ending)

    state = toy(return_state=True)
    assert state.is_completed() is not bool(endings[-1])


def _statuses(tracking: TrackingConfig) -> list[tuple[str, str]]:
    """Status and setting of every run of a flow."""
    client, experiment = open_client(tracking)
    found = client.search_runs([experiment], "tags.`latent.flow` = 'toy'")
    return [(run.info.status, run.data.tags["latent.setting"]) for run in found]


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(
    ("endings", "status"), [(("disk full", ""), "FINISHED"), (("disk full", "disk full again"), "FAILED")]
)
def test_run_tried_again_ends_as_its_last_attempt_when_it_is_live_and_when_it_is_rebuilt(
    tmp_path: Path, tables: Path, endings: tuple[str, ...], status: str
) -> None:
    live, rebuilt = (database(tables, tmp_path / name) for name in ("live", "rebuilt"))
    config = _config(tmp_path, live)
    _run_with_attempts(config, str(tmp_path / "log"), *endings)
    store = ArtifactStore(config.store)
    assert [journal.status for journal in journals(store)] == ["FAILED", status]
    wanted = [(status, endings[-1] or "last")]
    assert _statuses(live) == wanted
    assert sync(store, live)[:2] == (0, 0)
    assert _statuses(live) == wanted
    assert sync(store, rebuilt)[:2] == (1, 3)
    assert _statuses(rebuilt) == wanted
    assert fields_of(rebuilt) == fields_of(live)


def _attempt(
    monkeypatch: pytest.MonkeyPatch, tracking: TrackingConfig, store: ArtifactStore, *, failed: bool, **tags: str
) -> None:
    monkeypatch.setattr(tracker_module, "_flow_run_id", lambda: "the-same-run")
    tracker = Tracker(tracking, "toy", TrackingConfig(), store)
    tracker.tag({"latent.setting": "none", **tags})
    tracker.finish(failed=failed)


def test_attempts_of_which_only_the_last_could_be_tracked_are_rebuilt_as_one_run(
    tmp_path: Path, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, live = ArtifactStore(tmp_path / "store"), database(tables, tmp_path / "live")
    _attempt(monkeypatch, TrackingConfig(uri="http://127.0.0.1:9"), store, failed=True, first="1")
    _attempt(monkeypatch, live, store, failed=False, second="2")
    for tracking in (live, database(tables, tmp_path / "rebuilt")):
        sync(store, tracking)
        assert [status for status, _ in _statuses(tracking)] == ["FINISHED"]
    (run,) = runs(store)
    assert run.tags == {"latent.setting": "none", "first": "1", "second": "2"}


def test_journal_of_an_earlier_release_is_an_attempt_at_its_run(
    tmp_path: Path, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, tracking = ArtifactStore(tmp_path / "store"), database(tables, tmp_path / "live")
    old: dict[str, Any] = {"id": "the-same-run", "flow": "toy", "flow_run_id": "the-same-run", "config": {}}
    old |= {"started": 1.0, "ended": 2.0, "status": "FAILED", "tags": {"latent.setting": "old"}, "stages": []}
    with store.open_for_writing(f"{FOLDER}/the-same-run.json") as handle:
        handle.write(json.dumps(old).encode())
    sync(store, tracking)
    assert _statuses(tracking) == [("FAILED", "old")]
    _attempt(monkeypatch, tracking, store, failed=False)
    assert _statuses(tracking) == [("FINISHED", "none")]
    (run,) = runs(store)
    assert (run.started, run.status) == (1.0, "FINISHED")


def test_sync_leaves_an_end_that_mlflow_alone_knows_of(
    tmp_path: Path, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, tracking = ArtifactStore(tmp_path / "store"), database(tables, tmp_path / "live")
    _attempt(monkeypatch, tracking, store, failed=True)
    _attempt(
        monkeypatch, tracking, ArtifactStore(tmp_path / "lost"), failed=False
    )  # as where a journal was not written
    sync(store, tracking)
    assert [status for status, _ in _statuses(tracking)] == ["FINISHED"]
