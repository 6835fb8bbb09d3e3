"""Prefect's results in the store's root, local and S3: read from anywhere, listed nowhere, and never believed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from latent_core.config.runtime import RuntimeConfig
from latent_core.store import ArtifactStore, collect_garbage, find_garbage
from latent_core.store import leftovers as leftovers_module
from tasks.run.execution import open_run
from tests.support.s3_faults import make_bucket
from tests.support.s3_servers import forget_connections, start_moto
from tests.support.toy_stages import Numbers, ToyConfig, ToyInputs, count_up

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(scope="module")
def s3_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    server = start_moto(tmp_path_factory.mktemp("moto") / "log")
    yield dict(server.environment("30"))
    server.stop()


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "local":
        yield str(tmp_path / "store")
        return
    for name, value in request.getfixturevalue("s3_environment").items():
        monkeypatch.setenv(name, value)
    make_bucket("bucket")
    yield f"s3://bucket/{tmp_path.name}"
    forget_connections()


def _run(root: str, folder: Path) -> tuple[Any, Any]:
    """Run one stage as a flow; returns its reference and how its task ended."""
    from prefect import flow

    config = ToyConfig(store=root, runtime=RuntimeConfig(work_dir=str(folder / "work"), retry_seconds=0))

    @flow(name="toy")
    def toy() -> tuple[Any, Any]:
        with open_run("toy", config) as run:
            ref = run.stage(count_up, Numbers(count=2, log=str(folder / "log")), ToyInputs())
            run.artifact(ref)
            return ref, run._ended[ref]

    return toy()


def test_results_lie_in_the_store_can_be_read_by_anybody_and_are_nobodys_garbage(root: str, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client

    ref, end = _run(root, tmp_path)
    store = ArtifactStore(root)
    (key,) = [key for key, _ in store.files(".prefect")]
    assert key.startswith(".prefect/")
    with get_client(sync_client=True) as client:  # as a process does that knows only what the server says
        told = client.read_task_run(end.task_run_id).state
    assert told.result()["fingerprint"] == ref.fingerprint
    assert list(store.list()) == [ref] and find_garbage(store, grace=0).leftovers == []


def test_results_older_than_a_month_are_collected_and_younger_ones_stay(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, _ = _run(root, tmp_path)
    store = ArtifactStore(root)
    assert find_garbage(store, grace=0).results == []
    later = SimpleNamespace(time=lambda: time.time() + 31 * 24 * 3600)
    monkeypatch.setattr(leftovers_module, "time", later)
    garbage = find_garbage(store, grace=0)
    assert [item.folder.partition("/")[0] for item in garbage.results] == [".prefect"]
    collect_garbage(store, garbage)
    assert list(store.files(".prefect")) == [] and store.verify(ref).ok


def test_result_of_a_deleted_artifact_is_not_believed(root: str, tmp_path: Path) -> None:
    ref, _ = _run(root, tmp_path)
    ArtifactStore(root).set_aside(ref)
    _, end = _run(root, tmp_path)
    assert end.state == "Completed"  # computed, not `Cached`
    assert (tmp_path / "log").read_text().split() == ["numbers2"] * 2
    _, end = _run(root, tmp_path)
    assert end.state == "Cached"
