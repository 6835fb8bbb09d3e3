"""Ray workers against a stand-in for Ray: dead actors are replaced, errors pass, a small cluster does all the work."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from latent_core.config.runtime import RuntimeConfig
from latent_core.errors import BudgetReached, InfrastructureError, InputError
from latent_core.store import ArtifactStore, ArtifactWriter
from tasks.stage import Outcome, StageCall, Workplace, stage
from tasks.workers import ray as ray_workers
from tasks.workers.budget import Budget
from tasks.workers.pool import Progress
from tasks.workers.ray import RayPool
from tests.support.fake_ray import FakeRay, MachineLost
from tests.support.toy_stages import Numbers, ToyInputs, count_up

Open = Callable[..., RayPool]


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


@pytest.fixture
def pool_on(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> Open:
    monkeypatch.setattr(ray_workers, "POLL_SECONDS", 0.01)

    def open_pool(
        ray: FakeRay,
        workers: int = 1,
        devices_per_worker: int = 1,
        start_seconds: float = ray_workers.START_SECONDS,
        **options: object,
    ) -> RayPool:
        monkeypatch.setattr(ray_workers, "START_SECONDS", start_seconds)
        monkeypatch.setitem(sys.modules, "ray", ray)  # type: ignore[arg-type]
        runtime = RuntimeConfig(workers=workers, threads_per_worker=1, devices_per_worker=devices_per_worker)
        return RayPool(runtime, store.root, **options)  # type: ignore[arg-type]

    return open_pool


def _numbers(tmp_path: Path, count: int, trouble: str = "") -> StageCall:
    return count_up.call(Numbers(count=count, log=str(tmp_path / "log"), trouble=trouble), ToyInputs())


def _lost_once(out: ArtifactWriter, inputs: ToyInputs, config: Numbers, workplace: Workplace) -> Outcome:
    flag = Path(config.log)
    if not flag.exists():
        flag.touch()
        raise MachineLost
    return Outcome(accounting={"kept": config.count})


def test_dead_actor_is_an_infrastructure_error_and_its_replacement_takes_the_next_call(
    pool_on: Open, store: ArtifactStore, tmp_path: Path
) -> None:
    ray = FakeRay(cpus=1)
    pool = pool_on(ray, start_seconds=20)
    call = stage("lost_once", version=1)(_lost_once).call(Numbers(count=1, log=str(tmp_path / "flag")), ToyInputs())
    with pytest.raises(InfrastructureError, match="lost_once: its Ray worker died"):
        pool.compute(call)
    assert store.require(pool.compute(call)).ref == call.ref
    assert ray.actors_started == 2


@pytest.mark.parametrize(("trouble", "kind"), [("bad_input", InputError), ("flaky", InfrastructureError)])
def test_what_a_stage_raises_arrives_as_it_was_and_the_actor_stays(
    pool_on: Open, tmp_path: Path, trouble: str, kind: type[Exception]
) -> None:
    ray = FakeRay(cpus=1)
    pool = pool_on(ray)
    with pytest.raises(kind, match=r"numbers|count"):
        pool.compute(_numbers(tmp_path, 2, trouble))
    pool.compute(_numbers(tmp_path, 3))
    assert ray.actors_started == 1


def test_companions_of_a_call_are_computed_by_the_same_actor(
    pool_on: Open, store: ArtifactStore, tmp_path: Path
) -> None:
    ray = FakeRay(cpus=1)
    along = [_numbers(tmp_path, count) for count in (3, 4)]
    ref = pool_on(ray).compute(_numbers(tmp_path, 2), companions=along)
    assert [store.require(one).rows for one in (ref, *(call.ref for call in along))] == [2, 3, 4]
    assert ray.actors_started == 1


def test_cluster_with_room_for_one_of_three_workers_computes_everything(
    pool_on: Open, store: ArtifactStore, tmp_path: Path
) -> None:
    pool = pool_on(FakeRay(cpus=1), workers=3)
    with ThreadPoolExecutor(4) as threads:
        refs = list(threads.map(pool.compute, [_numbers(tmp_path, count) for count in range(1, 9)]))
    assert [store.require(ref).rows for ref in refs] == list(range(1, 9))


def test_cluster_without_room_says_what_a_worker_takes_and_what_there_is(
    pool_on: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ray = FakeRay(cpus=0, node_cpus=0.5)
    pool = pool_on(ray, start_seconds=0.05)
    expected = r"each takes 1 CPUs \(runtime\.threads_per_worker\) and the machines have 0\.5"
    with pytest.raises(InfrastructureError, match=f"no worker started.*{expected}"):
        pool.compute(_numbers(tmp_path, 2))
    assert "no machine of the Ray cluster is large enough" in caplog.text
    ray.cpus.release()  # a machine joins
    assert pool.compute(_numbers(tmp_path, 2)).stage == "numbers"


def test_cluster_with_too_few_gpus_for_a_worker_says_so(
    pool_on: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pool = pool_on(FakeRay(cpus=0, node_cpus=8, node_gpus=1), start_seconds=0.05, devices_per_worker=2)
    assert "no machine of the Ray cluster is large enough" in caplog.text
    with pytest.raises(InfrastructureError, match=r"2 GPUs \(runtime\.devices_per_worker\).*have 8 and 1;"):
        pool.compute(_numbers(tmp_path, 2))


def test_used_up_budget_starts_no_call_and_frees_the_actor(pool_on: Open, tmp_path: Path) -> None:
    pool = pool_on(FakeRay(cpus=1))
    budget = Budget("toy", max_tokens=2)
    pool.compute(_numbers(tmp_path, 2), budget)
    with pytest.raises(BudgetReached):
        pool.compute(_numbers(tmp_path, 3), budget)
    pool.compute(_numbers(tmp_path, 4))


def test_progress_of_a_running_call_reaches_the_sink(pool_on: Open, tmp_path: Path) -> None:
    seen: list[Progress] = []

    def patient(out: ArtifactWriter, inputs: ToyInputs, config: Numbers, workplace: Workplace) -> Outcome:
        workplace.progress(1, 2, 30)
        while not seen:
            pass
        return Outcome(accounting={"kept": 0})

    pool = pool_on(FakeRay(cpus=1), sink=seen.append)
    call = stage("patient", version=1)(patient).call(Numbers(count=0, log=""), ToyInputs(), label="1/1")
    pool.compute(call)
    assert seen[0] == Progress("patient 1/1", call.ref.fingerprint, 1, 2, 30)


def test_close_kills_every_actor_started_or_not(pool_on: Open) -> None:
    ray = FakeRay(cpus=1)
    pool_on(ray, workers=3).close()
    assert len(ray.killed) == 3
