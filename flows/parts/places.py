"""Where a run can be looked at further: pages of MLflow and Prefect where servers show them, else how to open them."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote

from latent_core.addresses import TEMPORARY_SERVER, without_passwords
from latent_core.config.runtime import TrackingConfig
from latent_core.report import Place
from tasks.tracking.client import tracking_uri


def places(tracking: TrackingConfig) -> tuple[Place, ...]:
    """MLflow, unless tracking is off, and Prefect. No address has a password."""
    found = [_prefect()]
    if tracking.enabled:
        uri = shown_uri(tracking)
        experiment = f"experiment {tracking.experiment}"
        if uri.startswith("http"):
            found.insert(0, Place("MLflow", uri, experiment))
        else:
            found.insert(0, Place("MLflow", None, f"mlflow server --backend-store-uri {quote(uri)}  # {experiment}"))
    return tuple(found)


def shown_uri(tracking: TrackingConfig) -> str:
    """Where MLflow's records are: without a password, and relative to this folder for a database in it."""
    return without_passwords(tracking_uri(tracking)).replace(f"sqlite:///{Path.cwd()}/", "sqlite:///")


def _prefect() -> Place:
    """The flow run's page where a server outlives it; outside a flow run the server's first page."""
    from prefect.context import FlowRunContext
    from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL

    api = PREFECT_API_URL.value()
    if not api or api == os.environ.get(TEMPORARY_SERVER):
        return Place("Prefect", None, "prefect server start")
    pages = without_passwords(str(PREFECT_UI_URL.value() or api.removesuffix("/").removesuffix("/api"))).rstrip("/")
    context = FlowRunContext.get()
    run = context.flow_run if context is not None else None
    return Place("Prefect", pages if run is None else f"{pages}/runs/flow-run/{run.id}", "")
