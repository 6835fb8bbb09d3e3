"""Lets the tests here, and the worker processes they start, import the toy stages; and an MLflow database to copy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from latent_core.config.runtime import TrackingConfig

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables, which take seconds to make."""
    from tasks.tracking import open_client

    path = tmp_path_factory.mktemp("tables") / "mlflow.db"
    open_client(TrackingConfig(uri=f"sqlite:///{path}"))
    return path
