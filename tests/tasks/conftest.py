"""An MLflow database to copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from latent_core.config.runtime import TrackingConfig


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables, which take seconds to make."""
    from tasks.tracking.mlflow import open_client

    path = tmp_path_factory.mktemp("tables") / "mlflow.db"
    open_client(TrackingConfig(uri=f"sqlite:///{path}"))
    return path
