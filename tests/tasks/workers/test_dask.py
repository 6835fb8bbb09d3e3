"""Dask workers: two real processes compute calls, one that dies is replaced, what a stage raises arrives as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from latent_core.config.runtime import RuntimeConfig
from latent_core.errors import BudgetReached, InputError
from latent_core.store import ArtifactStore
from tasks.stage import StageCall
from tasks.workers.budget import Budget
from tasks.workers.dask import DaskPool
from tasks.workers.pool import Progress
from tests.support.toy_stages import Numbers, ToyInputs, count_up


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1", silence_logs=50
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def _numbers(tmp_path: Path, count: int, trouble: str = "") -> StageCall:
    return count_up.call(Numbers(count=count, log=str(tmp_path / "log"), trouble=trouble), ToyInputs())


def _runtime(scheduler: str) -> RuntimeConfig:
    return RuntimeConfig(dask_address=scheduler, workers=2, threads_per_worker=1)


def test_calls_are_computed_and_a_killed_worker_costs_only_a_second_attempt(
    scheduler: str, store: ArtifactStore, tmp_path: Path
) -> None:
    heard = threading.Event()

    def sink(progress: Progress) -> None:
        if (progress.title, progress.done, progress.total) == ("numbers", 6, 6):
            heard.set()

    pool = DaskPool(_runtime(scheduler), store.root, sink)
    calls = [_numbers(tmp_path, count, "killed_once" if count == 3 else "") for count in range(1, 7)]
    with ThreadPoolExecutor(6) as threads:
        refs = list(threads.map(pool.compute, calls))
    assert [store.require(ref).rows for ref in refs] == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / "log").read_text().split().count("numbers3") == 2
    with pytest.raises(InputError, match="not to my liking"):
        pool.compute(_numbers(tmp_path, 8, "bad_input"))
    budget = Budget("toy", max_tokens=1)
    pool.compute(_numbers(tmp_path, 9), budget)
    with pytest.raises(BudgetReached):
        pool.compute(_numbers(tmp_path, 10), budget)
    along = _numbers(tmp_path, 12)
    pool.compute(_numbers(tmp_path, 11), companions=[along])
    assert store.require(along.ref).rows == 12
    assert heard.wait(60)
    pool.close()


def test_missing_scheduler_is_named_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.workers.dask.CONNECT_SECONDS", 0.2)
    runtime = RuntimeConfig(dask_address="tcp://127.0.0.1:9")
    with pytest.raises(
        InputError, match=r"runtime\.dask_address: no Dask scheduler at tcp://127\.0\.0\.1:9.*start one"
    ):
        DaskPool(runtime, str(tmp_path))
