"""A checkout with its embedded MLflow database that is moved or copied keeps its runs' files and leaves the old place
alone; names of the model registry are found in the store that moved along."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InfrastructureError
from latent_core.identity import fingerprint
from latent_core.store import ArtifactRef, ArtifactStore, begin
from tasks.tracking.mlflow import open_client
from tasks.tracking.models import find_model, register, set_champion
from tasks.tracking.moved import put_right
from tasks.tracking.tracker import Tracker

Move = Callable[[Path, Path], object]
PARENT, STAGE = ["config.json", "stages.json"], ["identity.json"]  # the files of the runs of a flow and of a stage


def _tracking(checkout: Path) -> TrackingConfig:
    return TrackingConfig(uri=f"sqlite:///{checkout}/.latent/mlflow.db")


def _store(checkout: Path, place: str = ".latent/store") -> ArtifactStore:
    return ArtifactStore(checkout / place)


def _run(checkout: Path, seed: int, place: str = ".latent/store") -> ArtifactRef:
    """A tracked run with one stage, whose MLflow run has files."""
    store = _store(checkout, place)
    config = {"seed": seed}
    with begin(store, ArtifactRef("train", fingerprint("train", 1, config, {}))) as out:
        artifact = out.commit(config=config)
    tracker = Tracker(_tracking(checkout), "flow", TrackingConfig(), store)
    tracker.stage(artifact, cached=False)
    tracker.register_model("m", artifact.ref, "standard")
    tracker.finish(failed=False)
    return artifact.ref


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A checkout with spaces in its name, and one run."""
    checkout = tmp_path / "an old place"
    _run(checkout, 0)
    return checkout


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _listed(checkout: Path) -> list[list[str]]:
    client, experiment = open_client(_tracking(checkout))
    runs = client.search_runs([experiment], order_by=["attributes.start_time ASC"])
    return sorted(sorted(item.path for item in client.list_artifacts(run.info.run_id)) for run in runs)


@pytest.mark.parametrize("move", [shutil.copytree, shutil.move], ids=["copied", "moved"])
def test_checkout_in_a_new_place_keeps_its_files_and_writes_no_more_into_the_old_one(
    tmp_path: Path, old: Path, move: Move
) -> None:
    before = _files(old)
    new = tmp_path / "new"
    move(old, new)
    assert _listed(new) == [PARENT, STAGE]
    _run(new, 1)
    assert _listed(new) == [PARENT, PARENT, STAGE, STAGE]
    assert _files(old) == (before if move is shutil.copytree else {})
    client, experiment = open_client(_tracking(new))
    places = [client.get_experiment(experiment).artifact_location]
    places += [run.info.artifact_uri for run in client.search_runs([experiment])]
    places += [run.data.tags.get("artifact_uri", str(new)) for run in client.search_runs([experiment])]
    assert [place for place in places if str(new) not in place] == []


def test_copy_and_original_each_keep_to_their_own_place(tmp_path: Path, old: Path) -> None:
    new, original = Path(shutil.copytree(old, tmp_path / "new")), _files(old)
    _run(new, 1)
    assert _files(old) == original
    copied = _files(new)
    _run(old, 2)
    assert _files(new) == copied
    assert len(_listed(old)) == len(_listed(new)) == 4


def test_copy_inside_its_original_keeps_to_its_own_place(tmp_path: Path) -> None:
    old = tmp_path / "checkout"
    _run(old, 0)
    shutil.copytree(old, tmp_path / "aside")
    new, original = Path(shutil.move(tmp_path / "aside", old / "copy")), _files(old / ".latent")
    _run(new, 1)
    assert _files(old / ".latent") == original
    assert _listed(new) == [PARENT, PARENT, STAGE, STAGE]
    _run(new, 2)
    assert len(_listed(new)) == 6


def test_database_that_moved_without_a_checkout_takes_the_files_beside_it_along(tmp_path: Path, old: Path) -> None:
    new = Path(shutil.copytree(old / ".latent", tmp_path / "backup" / "state"))
    shutil.rmtree(old)
    tracking = TrackingConfig(uri=f"sqlite:///{new}/mlflow.db")
    client, experiment = open_client(tracking)
    listed = [client.list_artifacts(run.info.run_id) for run in client.search_runs([experiment])]
    assert len(listed) == 2 and all(listed)


def test_files_that_lie_elsewhere_stay_where_they_are(tmp_path: Path, old: Path) -> None:
    elsewhere = (tmp_path / "elsewhere").as_uri()
    client, _ = open_client(_tracking(old))
    experiment = client.create_experiment("elsewhere", artifact_location=elsewhere)
    run = client.create_run(experiment)
    new = Path(shutil.copytree(old, tmp_path / "new"))
    moved, _ = open_client(_tracking(new))
    assert moved.get_experiment(experiment).artifact_location == elsewhere
    assert moved.get_run(run.info.run_id).info.artifact_uri.startswith(elsewhere)


def test_second_name_of_the_same_folder_changes_nothing(tmp_path: Path, old: Path) -> None:
    (tmp_path / "link").symlink_to(old)
    before = (old / ".latent" / "mlflow.db").read_bytes()
    put_right(tmp_path / "link" / ".latent" / "mlflow.db")
    assert (old / ".latent" / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize("place", [".latent/store", "stores/mine"])
def test_registered_model_is_found_in_the_store_that_moved_along(tmp_path: Path, place: str) -> None:
    old = tmp_path / "old"
    ref = _run(old, 0, place)
    set_champion(_tracking(old), "m", "1")
    new = Path(shutil.move(old, tmp_path / "new"))
    store = _store(new, place)
    assert find_model("models:/m@champion", store, _tracking(new)) == ref
    client, _ = open_client(_tracking(new))
    assert client.get_model_version("m", "1").tags["store"] == store.root
    assert register(client, "m", ref, store, "standard") == "1"


def test_relative_address_of_a_database_is_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".latent").mkdir()
    monkeypatch.chdir(tmp_path)
    client, experiment = open_client(TrackingConfig(uri="sqlite:///.latent/mlflow.db"))
    assert client.get_experiment(experiment).artifact_location == (tmp_path / ".latent" / "mlflow-artifacts").as_uri()


def test_file_that_is_no_database_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database at all, but long enough to be looked at as if it were one")
    with pytest.raises(InfrastructureError, match=r"^tracking: .*mlflow\.db cannot be used"):
        put_right(tmp_path / "mlflow.db")


def test_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE something (a)")
    before = (tmp_path / "other.db").read_bytes()
    put_right(tmp_path / "other.db")
    assert (tmp_path / "other.db").read_bytes() == before


def test_run_without_work_puts_paths_right_before_it_says_where_mlflow_looks(
    tmp_path: Path, old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows.parts.publish import show_where_to_look

    new = Path(shutil.move(old, tmp_path / "new"))
    show_where_to_look(_tracking(new))
    assert f"sqlite:///{new}/.latent/mlflow.db" in capsys.readouterr().out
    with closing(sqlite3.connect(new / ".latent" / "mlflow.db")) as connection:
        places = [place for (place,) in connection.execute("SELECT artifact_uri FROM runs")]
    assert len(places) == 2 and all(place.startswith(new.as_uri()) for place in places)
