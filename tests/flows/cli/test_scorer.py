"""`latent scorer` finds its model as `latent eval` does: outside, in the store, or in MLflow's registry."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import scorer as scorer_module
from flows.cli.main import app
from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InputError
from latent_core.identity import fingerprint
from latent_core.models.family import SETTINGS_FILE
from latent_core.models.source import open_model
from latent_core.store import ArtifactRef, ArtifactStore, begin
from tasks.tracking.mlflow import open_client
from tasks.tracking.models import register, set_champion

Served = list[tuple[Path, str, str, int]]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    """What would have been served: directory, name, host, port."""
    found: Served = []
    monkeypatch.setattr(scorer_module, "serve", lambda *arguments: found.append(arguments))
    return found


@pytest.fixture
def trained(tmp_path: Path) -> ArtifactRef:
    store = ArtifactStore(tmp_path / "store")
    ref = ArtifactRef("train", fingerprint("train", 1, {}, {}))
    with begin(store, ref) as out:
        with out.directory("weights") as directory:
            shutil.copytree(open_model("latent-mini").directory, directory / "model")
        out.commit()
    return ref


def test_scorer_serves_a_trained_model_of_the_store(served: Served, trained: ArtifactRef, tmp_path: Path) -> None:
    spec = f"train/{trained.fingerprint[:10]}"
    result = CliRunner().invoke(app, ["scorer", "--model", spec, "--store", str(tmp_path / "store"), "--port", "0"])
    assert result.exit_code == 0, result.output
    ((directory, name, host, port),) = served
    assert directory.joinpath("model.safetensors").read_bytes() == _weights() and (host, port) == ("127.0.0.1", 0)
    assert name == spec


def test_scorer_serves_a_registered_model(
    served: Served,
    trained: ArtifactRef,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    store = ArtifactStore(tmp_path / "store")
    config = TrackingConfig(uri=uri)
    client, _ = open_client(config)
    set_champion(config, "m", register(client, "m", trained, store, "standard"))
    arguments = ["scorer", "--model", "models:/m@champion", "--store", str(tmp_path / "store")]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert served[0][0].joinpath("model.safetensors").read_bytes() == _weights()


def test_scorer_of_an_unknown_address_says_so(served: Served, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["scorer", "--model", "train/0123", "--store", str(tmp_path / "store")])
    assert isinstance(result.exception, InputError) and "no artifact matches" in str(result.exception)
    assert not served


def test_scorer_is_told_whether_a_model_from_outside_thinks(served: Served, tmp_path: Path) -> None:
    from tests.support import conversations as written

    model = written.model_dir_of(tmp_path / "model", written.tokenizer_of(written.CHATML))
    result = CliRunner().invoke(app, ["scorer", "--model", str(model), "--thinking", "on"])
    assert result.exit_code == 0, result.output
    assert '"thinking":"on"' in served[0][0].joinpath(SETTINGS_FILE).read_text()
    wrong = CliRunner().invoke(app, ["scorer", "--model", str(model), "--thinking", "maybe"])
    assert "choose one of auto, on, off" in str(wrong.exception)


def _weights() -> bytes:
    return open_model("latent-mini").directory.joinpath("model.safetensors").read_bytes()
