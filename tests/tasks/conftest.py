"""An MLflow database to copy, and a store for the test of one stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from latent_core.config.runtime import TrackingConfig
from tests.support.stage_bench import StageBench


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables, which take seconds to make."""
    from tasks.tracking.mlflow import open_client

    path = tmp_path_factory.mktemp("tables") / "mlflow.db"
    open_client(TrackingConfig(uri=f"sqlite:///{path}"))
    return path


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StageBench:
    return StageBench(tmp_path, monkeypatch)
