"""Models by name: MLflow's registry points into the store, aliases move, and every wrong name says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InputError
from latent_core.identity import fingerprint
from latent_core.store import ArtifactRef, ArtifactStore
from tasks.registry import find_model
from tasks.stage import ModelInput
from tasks.tracking import open_client, register, set_champion


@pytest.fixture
def tracking(tmp_path: Path) -> TrackingConfig:
    return TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def _trained(store: ArtifactStore, seed: int) -> ArtifactRef:
    config = {"seed": seed}
    identity = fingerprint("train", 1, config, {})
    with store.begin("train", identity) as out:
        out.commit(config=config)
    return ArtifactRef("train", identity)


def test_registered_model_is_found_by_alias_and_by_version(store: ArtifactStore, tracking: TrackingConfig) -> None:
    client, _ = open_client(tracking)
    standard, dual = _trained(store, 0), _trained(store, 1)
    assert register(client, "m", standard, store, "standard") == "1"
    assert register(client, "m", dual, store, "dual") == "2"
    assert register(client, "m", standard, store, "standard") == "1"  # known already
    assert find_model("models:/m@champion", store, tracking) == standard
    assert find_model("models:/m@dual", store, tracking) == find_model("models:/m/2", store, tracking) == dual
    assert set_champion(tracking, "m", "dual") == "2"
    assert find_model("models:/m@champion", store, tracking) == dual


def test_trained_model_is_found_by_its_shortened_address(store: ArtifactStore, tracking: TrackingConfig) -> None:
    ref = _trained(store, 0)
    assert find_model(f"train/{ref.fingerprint[:8]}", store, tracking) == ref
    with pytest.raises(InputError, match="no artifact matches"):
        find_model("train/000000", store, tracking)


def test_other_names_are_models_from_outside(store: ArtifactStore, tracking: TrackingConfig) -> None:
    assert find_model("latent-mini", store, tracking) == ModelInput.find("latent-mini")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("models:/m@nobody", "not in the MLflow registry"),
        ("models:/m", "form models:/NAME@ALIAS"),
        ("models:/foreign/1", "not registered by a run of this project"),
    ],
)
def test_wrong_name_says_what_is_wrong(store: ArtifactStore, tracking: TrackingConfig, spec: str, message: str) -> None:
    client, _ = open_client(tracking)
    register(client, "m", _trained(store, 0), store, "standard")
    client.create_registered_model("foreign")
    client.create_model_version("foreign", source=store.root)
    with pytest.raises(InputError, match=message):
        find_model(spec, store, tracking)


def test_model_of_another_store_names_that_store(
    store: ArtifactStore, tracking: TrackingConfig, tmp_path: Path
) -> None:
    client, _ = open_client(tracking)
    register(client, "m", _trained(store, 0), store, "standard")
    with pytest.raises(InputError, match="set store to it"):
        find_model("models:/m@champion", ArtifactStore(tmp_path / "other"), tracking)
