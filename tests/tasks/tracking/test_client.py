"""Several runs that begin together share one embedded database that none of them finds."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from pydantic import ValidationError

from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InfrastructureError
from latent_core.locked import locked
from tasks.tracking.client import connect, open_client
from tasks.tracking.moved import embedded_database


def _config(folder: Path) -> TrackingConfig:
    return TrackingConfig(uri=f"sqlite:///{folder}/mlflow.db")


def test_tables_are_made_by_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free: list[bool] = []

    def client(uri: str) -> object:
        with (tmp_path / ".mlflow.db.lock").open() as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                free.append(False)
            else:
                free.append(True)
        return object()

    monkeypatch.setattr(mlflow, "MlflowClient", client)
    connect(_config(tmp_path))
    assert free == [False]
    with locked(tmp_path / ".mlflow.db.lock"):  # it was given back
        pass


def test_tables_are_there_when_the_lock_is_given_back(tmp_path: Path) -> None:
    connect(_config(tmp_path))
    found = sqlite3.connect(tmp_path / "mlflow.db").execute("SELECT count(*) FROM alembic_version").fetchone()
    assert found == (1,)


@pytest.mark.parametrize("kept", [".mlflow.db.lock", "."])
def test_database_of_another_user_is_read_without_its_lock(
    tmp_path: Path, tables: Path, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(tables, tmp_path / "mlflow.db")
    if kept != ".":
        (tmp_path / kept).touch()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path / kept)  # root may write everywhere
    monkeypatch.setattr("tasks.tracking.client.locked", lambda path: pytest.fail(f"{path} is not ours"))
    assert connect(_config(tmp_path)).search_experiments()


@pytest.mark.parametrize("name", ["x" * 253, "file/mlflow.db"])
def test_database_in_an_impossible_place_is_named_in_one_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InfrastructureError, match=r"^tracking: .* cannot be used \("):
        connect(TrackingConfig(uri=f"sqlite:///{tmp_path}/{name}"))


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:"])
def test_database_in_memory_is_refused_and_never_taken_for_a_file(uri: str) -> None:
    with pytest.raises(ValidationError, match="gone when the run ends; name a file"):
        TrackingConfig(uri=uri)
    assert embedded_database(uri) is None  # as MLFLOW_TRACKING_URI may say


def test_experiment_that_another_run_made_meanwhile_is_used(tmp_path: Path, tables: Path) -> None:
    shutil.copy(tables, tmp_path / "mlflow.db")
    _, first = open_client(_config(tmp_path))
    client = connect(_config(tmp_path))
    asked: list[Any] = []
    real = type(client).get_experiment_by_name

    def late(self: Any, name: str) -> Any:
        asked.append(name)
        return None if len(asked) == 1 else real(self, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(client), "get_experiment_by_name", late)
        assert open_client(_config(tmp_path))[1] == first
        patch.setattr(type(client), "get_experiment_by_name", lambda *_: None)
        with pytest.raises(MlflowException, match="already exists"):
            open_client(_config(tmp_path))
