"""Executing a flow from the command line: what its Prefect server does is told in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from flows import execution, server
from flows.registry import FlowEntry, find_flow
from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InfrastructureError


def test_run_whose_prefect_server_is_gone_says_so_and_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    flow = find_flow("reevaluate")

    def lose_the_server(*words: Any) -> None:
        raise httpx.ConnectError("Connection refused")

    lost = FlowEntry(flow.config, flow.open_run, flow.compose, lose_the_server, flow.show)
    monkeypatch.setattr(execution, "_ENVIRONMENT", {})  # of this process, which goes on with other tests
    monkeypatch.setattr(execution, "find_flow", lambda name: lost)
    monkeypatch.setattr(server, "_check_configured", lambda: None)  # it went away later
    settings = [f"store={tmp_path}", "model=latent-mini"]
    lines = r"PREFECT_API_URL, http://127\.0\.0\.1:9/api, does not answer .*Connection refused.*repeat"
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(InfrastructureError, match=lines),
    ):
        execution.execute("reevaluate", None, settings, [])


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, "server --backend-store-uri sqlite:///.latent/mlflow.db"),
        ({"uri": "http://127.0.0.1:5000"}, "MLflow:  http://127.0.0.1:5000\n"),
        ({"enabled": False}, None),
    ],
)
def test_run_says_where_its_own_mlflow_runs_are(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    settings: dict[str, Any],
    line: str | None,
) -> None:
    from flows.results import show_where_to_look

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    show_where_to_look(TrackingConfig.model_validate(settings))
    printed = capsys.readouterr().out
    assert line in printed if line is not None else "MLflow" not in printed
