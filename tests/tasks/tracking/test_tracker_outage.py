"""An outage of the tracking server is told where a user looks: in the run's log, on its page, and at its end."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from latent_core.config.runtime import RuntimeConfig, TrackingConfig
from latent_core.store import ArtifactStore
from tasks.run.execution import Execution, open_run
from tasks.tracking import tracker as tracker_module
from tasks.tracking.tracker import Tracker, gaps_told
from tests.support.toy_stages import Numbers, ToyConfig, ToyInputs, count_up
from tests.support.tracked import database

pytestmark = pytest.mark.usefixtures("prefect_server")

NOBODY = TrackingConfig(uri="http://127.0.0.1:9")
OUTAGE = r"tracking was off from \d\d:\d\d \(.+\); `latent track sync` rebuilds it"


def _run(tmp_path: Path, tracking: TrackingConfig, last: Callable[[Execution], object] = lambda run: None) -> UUID:
    """A real flow of one stage that fails when `last` does; returns its run's id."""
    from prefect import flow
    from prefect.context import FlowRunContext

    ids: list[UUID] = []
    config = ToyConfig(
        store=str(tmp_path / "store"), runtime=RuntimeConfig(work_dir=str(tmp_path / "work")), tracking=tracking
    )

    @flow(name="toy-outage")
    def toy() -> None:
        context = FlowRunContext.get()
        assert context is not None and context.flow_run is not None
        ids.append(context.flow_run.id)
        with open_run("toy-outage", config) as run:
            run.artifact(run.stage(count_up, Numbers(count=1, log=str(tmp_path / "log")), ToyInputs()))
            last(run)

    toy(return_state=True)
    return ids[0]


def _pages(flow_run: UUID) -> dict[str, str]:
    """What a flow run's Artifacts tab shows, by key."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run]))
        )
    return {item.key or "": str(item.data) for item in found}


def _log(flow_run: UUID, handler: logging.Handler) -> list[str]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

    handler.flush()  # waits until all is sent
    with get_client(sync_client=True) as client:
        found = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run])))
    return [item.message for item in found]


def _fail(run: Execution) -> None:
    raise RuntimeError("for another reason")


@pytest.mark.parametrize("last", [lambda run: None, _fail], ids=["completed", "failed"])
def test_outage_is_on_the_page_of_a_run_however_it_ended(tmp_path: Path, last: Callable[[Execution], object]) -> None:
    pages = _pages(_run(tmp_path, NOBODY, last))
    assert re.search(OUTAGE, pages["toy-outage-tracking"])


def test_outage_is_in_the_log_of_its_run(tmp_path: Path) -> None:
    from prefect.logging.handlers import APILogHandler
    from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

    handler = APILogHandler()  # what PREFECT_LOGGING_EXTRA_LOGGERS=latent does
    logging.getLogger("latent").addHandler(handler)
    try:
        with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: True}):
            lines = _log(_run(tmp_path, NOBODY), handler)
    finally:
        logging.getLogger("latent").removeHandler(handler)
    assert sum("tracking is off for the rest of this run" in line for line in lines) == 1


def test_results_page_says_that_tracking_is_off_since_when_and_why(tmp_path: Path) -> None:
    said: list[str] = []
    _run(tmp_path, NOBODY, lambda run: said.append(run.tracked()))
    _run(tmp_path, TrackingConfig(enabled=False), lambda run: said.append(run.tracked()))
    assert re.fullmatch(OUTAGE, said[0])
    assert said[1] == "tracking is off"


def test_run_that_is_tracked_has_no_page_of_an_outage(tmp_path: Path, tables: Path) -> None:
    tracking = database(tables, tmp_path / "live")
    with gaps_told() as gaps:
        assert "toy-outage-tracking" not in _pages(_run(tmp_path, tracking))
    assert gaps == []


def test_outage_is_told_to_whoever_waits_for_the_run(tmp_path: Path) -> None:
    with gaps_told() as gaps:
        _run(tmp_path, NOBODY)
    assert [bool(re.fullmatch(OUTAGE, gap)) for gap in gaps] == [True]


def test_refused_entry_is_told_like_an_outage(tmp_path: Path, tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: Any) -> None:
        raise MlflowException("no rights to the registry", PERMISSION_DENIED)

    monkeypatch.setattr(tracker_module, "register", refuse)
    ref = []

    def trained(run: Execution) -> None:
        ref.extend(run.store.list())
        run.register_models("m", {"standard": ref[0]})

    with gaps_told() as gaps:
        pages = _pages(_run(tmp_path, database(tables, tmp_path / "live"), trained))
    assert "no rights to the registry" in gaps[0] and "latent track sync" in gaps[0]
    assert gaps[0] in pages["toy-outage-tracking"]


def test_password_of_the_tracking_server_is_in_nothing_that_tells_of_its_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:canary-9c1@127.0.0.1:9")
    monkeypatch.setattr(tracker_module, "_flow_run_id", lambda: "")
    tracker = Tracker(TrackingConfig(), "flow", TrackingConfig(), ArtifactStore(tmp_path / "store"))
    tracker.finish(failed=False)
    assert "127.0.0.1" in tracker.gap()
    assert "canary" not in tracker.gap() + caplog.text
