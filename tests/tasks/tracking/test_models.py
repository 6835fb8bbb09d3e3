"""Models by name: MLflow's registry points into the store, aliases move, and every wrong name says what is wrong."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bench.here import open_here
from latent_core.config.runtime import RuntimeConfig, TrackingConfig
from latent_core.errors import InputError
from latent_core.identity import fingerprint
from latent_core.store import ArtifactRef, ArtifactStore, begin
from tasks.inputs import ModelInput
from tasks.tracking import tracker as tracker_module
from tasks.tracking.mlflow import open_client, sync
from tasks.tracking.models import find_model, register, set_champion
from tasks.tracking.tracker import Tracker
from tasks.tracking.versions import known_versions, registered_names
from tests.support.s3_servers import free_ports
from tests.support.toy_stages import ToyConfig


@pytest.fixture
def tracking(tmp_path: Path, tables: Path) -> TrackingConfig:
    shutil.copyfile(tables, tmp_path / "mlflow.db")
    return TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def _trained(store: ArtifactStore, seed: int) -> ArtifactRef:
    config = {"seed": seed}
    identity = fingerprint("train", 1, config, {})
    with begin(store, ArtifactRef("train", identity)) as out:
        out.commit(config=config)
    return ArtifactRef("train", identity)


def test_registered_model_is_found_by_alias_and_by_version(store: ArtifactStore, tracking: TrackingConfig) -> None:
    client, _ = open_client(tracking)
    standard, dual = _trained(store, 0), _trained(store, 1)
    assert register(client, "m", standard, store, "standard") == "1"
    assert register(client, "m", dual, store, "dual") == "2"
    assert register(client, "m", standard, store, "standard") == "1"  # known already
    assert find_model("models:/m@standard", store, tracking) == find_model("models:/m/1", store, tracking) == standard
    assert find_model("models:/m@dual", store, tracking) == find_model("models:/m/2", store, tracking) == dual
    assert set_champion(tracking, "m", "dual") == "2"
    assert find_model("models:/m@champion", store, tracking) == dual


def test_trained_model_is_found_by_its_shortened_address(store: ArtifactStore, tracking: TrackingConfig) -> None:
    ref = _trained(store, 0)
    assert find_model(f"train/{ref.fingerprint[:8]}", store, tracking) == ref
    with pytest.raises(InputError, match=r"models\.dual: no artifact matches"):
        find_model("train/000000", store, tracking, field="models.dual")


def test_other_names_are_models_from_outside(store: ArtifactStore, tracking: TrackingConfig) -> None:
    assert find_model("latent-mini", store, tracking) == ModelInput.find("latent-mini")


@pytest.fixture
def server(tmp_path: Path, tables: Path) -> Iterator[str]:
    """A real MLflow server, which accepts less than a client that writes to its own database."""
    shutil.copyfile(tables, tmp_path / "server.db")
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db", "--serve-artifacts"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    address = f"http://127.0.0.1:{port}"
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            while not _answers(address):
                assert process.poll() is None, (tmp_path / "server.log").read_text()
                time.sleep(0.1)
            yield address
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its workers too
            process.wait()


def _answers(address: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def test_run_on_a_real_server_registers_models_of_a_local_store_and_ends_finished(
    store: ArtifactStore, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_module, "PATIENCE", 300.0)  # a starved machine is not what is tested
    tracking, ref = TrackingConfig(uri=server), _trained(store, 0)
    _run_that_trained(tracking, store, {"standard": ref})
    assert find_model("models:/m@standard", store, tracking) == ref
    client, experiment = open_client(tracking)
    assert {run.info.status for run in client.search_runs([experiment])} == {"FINISHED"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("models:/m@nobody", "not in the MLflow registry .*`latent models m` lists"),
        ("models:/m/7", "not in the MLflow registry .*`latent models m` lists"),
        ("models:/m@champion", "`latent track champion m VERSION`"),
        ("models:/nothing@champion", "no run registered a model as nothing .*tracking.register_as"),
        ("models:/a'b@champion", "form models:/NAME@ALIAS"),
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
        find_model("models:/m/1", ArtifactStore(tmp_path / "other"), tracking)


def _registry(tracking: TrackingConfig) -> tuple[list[object], dict[str, str]]:
    """Everything that the registry says of the model `m`, but for the times."""
    client, _ = open_client(tracking)
    versions = client.search_model_versions("name = 'm'")
    sources = [client.get_run(item.run_id).data.tags["fingerprint"] if item.run_id else "" for item in versions]
    fields = [
        (int(item.version), item.source, item.status, source, item.description, item.tags)
        for item, source in zip(versions, sources, strict=True)
    ]
    return sorted(fields), {name: str(version) for name, version in client.get_registered_model("m").aliases.items()}


def _run_that_trained(tracking: TrackingConfig, store: ArtifactStore, models: dict[str, ArtifactRef]) -> None:
    tracker = Tracker(tracking, "flow", TrackingConfig(), store)
    for variant, ref in models.items():
        tracker.stage(store.require(ref), cached=True, label=variant)
        tracker.register_model("m", ref, variant)
    tracker.finish(failed=False)


def test_registry_rebuilt_from_the_store_equals_the_live_one(
    store: ArtifactStore, tracking: TrackingConfig, tables: Path
) -> None:
    first, dual, second = (_trained(store, seed) for seed in range(3))
    for models in ({"standard": first, "dual": dual}, {"standard": second}, {"standard": first}):
        _run_that_trained(tracking, store, models)
    path = Path(shutil.copyfile(tables, f"{store.root}.db"))
    rebuilt = TrackingConfig(uri=f"sqlite:///{path}")
    assert sync(store, rebuilt).models == 3
    assert _registry(rebuilt) == _registry(tracking)
    assert _registry(rebuilt)[1] == {"standard": "1", "dual": "2"}
    assert sync(store, rebuilt).models == 0


def test_sync_leaves_aliases_alone_where_no_version_is_missing(store: ArtifactStore, tracking: TrackingConfig) -> None:
    first, second = _trained(store, 0), _trained(store, 1)
    _run_that_trained(tracking, store, {"standard": first})
    _run_that_trained(tracking, store, {"standard": second})
    client, _ = open_client(tracking)
    client.set_registered_model_alias("m", "standard", "1")
    set_champion(tracking, "m", "2")
    before = _registry(tracking)
    assert sync(store, tracking).models == 0
    assert _registry(tracking) == before


def test_model_trained_during_an_outage_is_registered_afterwards_and_the_champion_stays(
    store: ArtifactStore, tracking: TrackingConfig
) -> None:
    first, second = _trained(store, 0), _trained(store, 1)
    _run_that_trained(tracking, store, {"standard": first})
    set_champion(tracking, "m", "1")
    _run_that_trained(TrackingConfig(uri="http://127.0.0.1:9"), store, {"standard": second})
    assert sync(store, tracking).models == 1
    assert _registry(tracking)[1] == {"champion": "1", "standard": "2"}
    assert find_model("models:/m@standard", store, tracking) == second


def test_run_without_a_name_registers_nothing_and_one_with_a_name_makes_no_champion(
    store: ArtifactStore, tracking: TrackingConfig
) -> None:
    ref = _trained(store, 0)
    with open_here("toy", ToyConfig(store=store.root, runtime=RuntimeConfig(), tracking=tracking)) as (run, _):
        run.register_models(None, {"standard": ref})
        run.register_models("m", {"standard": ref})
    client, _ = open_client(tracking)
    assert [model.name for model in client.search_registered_models()] == ["m"]
    assert set(client.get_registered_model("m").aliases) == {"standard"}


def test_listing_models_where_nothing_was_tracked_makes_no_database(store: ArtifactStore, tmp_path: Path) -> None:
    tracking = TrackingConfig(uri=f"sqlite:///{tmp_path}/none/mlflow.db")
    assert registered_names(tracking) == [] and known_versions("m", store, tracking) == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("spec", ["models:/m@champion", "models:/m/2"])
def test_looking_for_a_model_where_nothing_was_tracked_makes_no_database(
    store: ArtifactStore, tmp_path: Path, spec: str
) -> None:
    tracking = TrackingConfig(uri=f"sqlite:///{tmp_path}/none/mlflow.db")
    with pytest.raises(InputError, match=rf"^model: {spec} is not in the MLflow registry at .*none/mlflow\.db: no run"):
        find_model(spec, store, tracking)
    assert not (tmp_path / "none").exists()
