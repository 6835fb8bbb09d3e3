"""Secrets of the environment stay there: not in manifests, logs, MLflow, Prefect's database or its results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from latent_core.config.runtime import RuntimeConfig, TrackingConfig
from latent_core.config.sampling import OpenAiConfig
from latent_core.errors import InputError
from latent_core.store import ArtifactStore
from tasks.run.execution import open_run
from tasks.run.history import RunRecord, past_runs
from tasks.tracking.journal import Journal
from tests.support.toy_stages import Numbers, SumInputs, ToyConfig, ToyInputs, add_up, count_up

CANARY = "canary-6f1d2c"
SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "OPENAI_API_KEY", "HF_TOKEN")


def _files_with(word: str, *folders: Path) -> Iterator[Path]:
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and word.encode() in path.read_bytes():
                yield path


def test_secrets_of_the_environment_are_in_no_file_that_a_run_leaves(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prefect_server: None,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from prefect import flow
    from prefect.settings import (
        PREFECT_API_DATABASE_CONNECTION_URL,
        PREFECT_HOME,
        PREFECT_LOCAL_STORAGE_PATH,
        temporary_settings,
    )

    for name in SECRETS:
        monkeypatch.setenv(name, f"{CANARY}-{name}")
    runtime = RuntimeConfig(work_dir=str(tmp_path / "work"), retries=1, retry_seconds=0)
    tracking = TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db")
    config = ToyConfig(store=str(tmp_path / "store"), runtime=runtime, tracking=tracking)

    @flow(name="toy-with-secrets", persist_result=True)
    def toy(cfg: ToyConfig) -> str:
        with open_run("toy-with-secrets", cfg) as run:
            log = str(tmp_path / "log")
            numbers = run.stage(count_up, Numbers(count=3, log=log, trouble="killed_once"), ToyInputs())
            return run.artifact(run.stage(add_up, Numbers(count=0, log=log), SumInputs((numbers,)))).ref.fingerprint

    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: tmp_path / "results"}):
        fingerprint = toy(config)
        database = Path(PREFECT_API_DATABASE_CONNECTION_URL.value().removeprefix("sqlite+aiosqlite:///"))
        home = Path(PREFECT_HOME.value())
    for place, known in ((tmp_path / "store", fingerprint), (database.parent, "toy-with-secrets")):
        assert next(_files_with(known, place), None) is not None, f"nothing was written to {place}"
    assert list(_files_with(CANARY, tmp_path, home, database.parent)) == []
    printed = capfd.readouterr()
    assert CANARY not in caplog.text + printed.out + printed.err


def test_store_whose_address_holds_a_key_is_refused_without_repeating_it() -> None:
    with pytest.raises(InputError, match="leave them to the environment") as raised:
        ArtifactStore(f"s3://key:{CANARY}@bucket/prefix")
    assert CANARY not in str(raised.value)


def test_tracking_address_with_a_password_belongs_into_the_environment() -> None:
    with pytest.raises(ValidationError, match="MLFLOW_TRACKING_URI"):
        TrackingConfig(uri=f"postgresql://user:{CANARY}@host/db")
    with pytest.raises(ValidationError, match=r"base_url\n.*OPENAI_API_KEY"):
        OpenAiConfig(base_url=f"http://user:{CANARY}@host/v1")
    with pytest.raises(ValidationError, match=r"base_url\n.*OPENAI_API_KEY"):
        OpenAiConfig(base_url=f"http://host/v1?api_key={CANARY}")


def test_run_record_names_no_secret_of_the_failure_that_ended_the_run(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    record = RunRecord(store, Journal("run", "toy", "", {}, 0.0), "toy")
    record.end(InputError(f"scorer: https://{CANARY}@host/v1?token={CANARY} failed"), None)
    assert list(_files_with(CANARY, tmp_path)) == []
    assert past_runs(store)[0].failure == "scorer: https://***@host/v1?token=*** failed"
