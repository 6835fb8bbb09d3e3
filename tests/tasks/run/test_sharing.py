"""Two runs that need the same result, as processes with workers of their own: races, leases, deaths and takeovers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from latent_core.config.runtime import RuntimeConfig
from latent_core.errors import LatentError
from latent_core.store import Artifact, ArtifactStore, find_garbage
from tasks.run.sharing import compute_or_wait
from tasks.stage import StageCall
from tasks.workers.processes import WorkerPool
from tests.support.gated_stage import Gate, gated
from tests.support.toy_stages import Numbers, ToyInputs, count_up

SPAWN = multiprocessing.get_context("spawn")
LONG = 600.0  # seconds of a lease that no test waits for


class _Watched(threading.Event):
    """The end of a run that never comes; says when somebody waits for it."""

    def __init__(self, outbox: Any) -> None:
        super().__init__()
        self._outbox = outbox

    def wait(self, timeout: float | None = None) -> bool:
        self._outbox.put("waits")
        return super().wait(timeout)


def _run(call: StageCall, folder: str, seconds: float, outbox: Any) -> None:
    """A run of one stage: says when it waits, and what came of it."""
    root = f"{folder}/store"
    pool = WorkerPool(RuntimeConfig(work_dir=f"{folder}/work"), root)
    over = _Watched(outbox)
    try:
        computed = compute_or_wait(
            call, ArtifactStore(root), seconds, lambda terms: pool.compute(call, None, terms), over
        )
        outbox.put("computed" if computed else "found")
    except LatentError as error:
        outbox.put(str(error))
    pool.close()


class Stand:
    """The gate, the store, and the runs before it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.call = gated.call(Gate(folder=str(folder)), ToyInputs())
        for name in ("arrivals", "go"):
            os.mkfifo(folder / name)
        self.runs: list[BaseProcess] = []

    def start(self, seconds: float = LONG) -> tuple[BaseProcess, Any]:
        outbox = SPAWN.Queue()
        run = SPAWN.Process(target=_run, args=(self.call, str(self.folder), seconds, outbox))
        run.start()
        self.runs.append(run)
        return run, outbox

    def arrival(self) -> int:
        """Wait for a computation at the gate; its pid."""
        return int((self.folder / "arrivals").read_text())

    def open_gate(self) -> None:
        (self.folder / "go").write_text("go")

    def artifact(self) -> Artifact:
        return ArtifactStore(self.folder / "store").require(self.call.ref)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    yield made
    for run in made.runs:
        run.kill()
        run.join()


def _answer(outbox: Any) -> str:
    """What came of a run, past its words about waiting."""
    while (word := outbox.get(timeout=120)) == "waits":
        pass
    return str(word)


def _pid(artifact: Artifact) -> int:
    return int(next(artifact.rows_of("who.parquet"))["pid"])


def test_second_run_waits_for_the_first_and_computes_nothing(stand: Stand) -> None:
    _, first = stand.start()
    computing = stand.arrival()
    _, second = stand.start()
    assert second.get(timeout=120) == "waits"
    stand.open_gate()
    assert (_answer(first), _answer(second)) == ("computed", "found")
    assert _pid(stand.artifact()) == computing


def test_second_run_takes_over_from_a_killed_one(stand: Stand) -> None:
    run, _ = stand.start()
    stand.arrival()
    _, second = stand.start()
    assert second.get(timeout=120) == "waits"
    run.kill()
    run.join()  # its worker follows it once it is gone
    computing = stand.arrival()
    stand.open_gate()
    assert _answer(second) == "computed" and _pid(stand.artifact()) == computing


def test_run_that_was_frozen_and_replaced_dies_when_it_wakes_and_commits_nothing(stand: Stand) -> None:
    _, first = stand.start(seconds=2)
    frozen = stand.arrival()
    os.kill(frozen, signal.SIGSTOP)
    _, second = stand.start(seconds=2)
    computing = stand.arrival()
    os.kill(frozen, signal.SIGCONT)
    message = _answer(first)
    assert "another run took over its lease" in message and "taken over by process" in message
    stand.open_gate()
    assert _answer(second) == "computed" and _pid(stand.artifact()) == computing != frozen


def _race(root: str, call: StageCall, work_dir: str, barrier: Any, answers: Any) -> None:
    pool = WorkerPool(RuntimeConfig(work_dir=work_dir), root)
    barrier.wait()
    pool.compute(call)
    answers.put(ArtifactStore(root).require(call.ref).manifest.record["attempt"])
    pool.close()


def test_without_leases_both_compute_and_agree_on_one_result(tmp_path: Path) -> None:
    root, log = str(tmp_path / "store"), tmp_path / "log"
    call = count_up.call(Numbers(count=1000, log=str(log)), ToyInputs())
    barrier, answers = SPAWN.Barrier(2), SPAWN.Queue()
    runs = [
        SPAWN.Process(target=_race, args=(root, call, str(tmp_path / name), barrier, answers)) for name in ("a", "b")
    ]
    for run in runs:
        run.start()
    assert len({answers.get(timeout=120) for _ in runs}) == 1
    for run in runs:
        run.join()
        assert run.exitcode == 0
    store = ArtifactStore(root)
    assert log.read_text().split() == ["numbers1000"] * 2
    assert [ref for ref in store.list() if store.verify(ref).ok] == [call.ref]
    assert find_garbage(store, grace=0).leftovers == []
