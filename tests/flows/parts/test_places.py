"""Where a report says that its run can be looked at."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from flows.parts.places import places
from latent_core.addresses import TEMPORARY_SERVER
from latent_core.config.runtime import TrackingConfig


@pytest.fixture(autouse=True)
def no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_UI_URL", TEMPORARY_SERVER):
        monkeypatch.delenv(name, raising=False)


def prefect_at(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    from prefect.settings import PREFECT_API_URL

    monkeypatch.setattr(
        type(PREFECT_API_URL), "value", lambda self: address if self.name == "PREFECT_API_URL" else None
    )


def test_places_without_servers_say_how_to_open_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    prefect_at(monkeypatch, "")
    mlflow, prefect = places(TrackingConfig(experiment="mine"))
    assert mlflow.address is None and mlflow.how.endswith(".latent/mlflow.db  # experiment mine")
    assert mlflow.how.startswith("mlflow server --backend-store-uri sqlite:///")
    assert (prefect.address, prefect.how) == (None, "prefect server start")


def test_places_with_servers_are_their_addresses_without_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    prefect_at(monkeypatch, "http://me:secret@prefect.lab:4200/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.lab")
    mlflow, prefect = places(TrackingConfig())
    assert mlflow == ("MLflow", "https://me:***@mlflow.lab", "experiment latent-reasoning")
    assert prefect.address == "http://me:***@prefect.lab:4200"


def test_place_of_a_flow_run_is_its_own_page(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.context import FlowRunContext

    prefect_at(monkeypatch, "https://prefect.lab/api/")
    monkeypatch.setattr(FlowRunContext, "get", lambda: SimpleNamespace(flow_run=SimpleNamespace(id="1a2b")))
    assert places(TrackingConfig())[1].address == "https://prefect.lab/runs/flow-run/1a2b"


def test_places_leave_out_a_temporary_server_and_tracking_that_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    prefect_at(monkeypatch, "http://127.0.0.1:8000/api")
    monkeypatch.setenv(TEMPORARY_SERVER, "http://127.0.0.1:8000/api")
    (prefect,) = places(TrackingConfig(enabled=False))
    assert prefect.address is None
