"""Workers: what their log says, that one which dies while it has nothing to do is replaced, and how they end."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.runtime import RuntimeConfig
from latent_core.config.sampling import SamplingConfig
from latent_core.errors import InfrastructureError, InputError, StageFailed
from latent_core.store import ArtifactStore
from tasks.collect import CollectInputs, CollectShard, collect_shard
from tasks.inputs import ModelInput, ProblemsInput
from tasks.workers.processes import WorkerPool
from tests.support.gated_stage import Gate, gated
from tests.support.toy_stages import Numbers, ToyInputs, count_up


def test_worker_killed_between_two_calls_is_an_infrastructure_error_and_is_replaced(tmp_path: Path) -> None:
    pool = WorkerPool(RuntimeConfig(work_dir=str(tmp_path / "work")), str(tmp_path / "store"))
    calls = [count_up.call(Numbers(count=count, log=str(tmp_path / "log")), ToyInputs()) for count in (1, 2)]
    try:
        pool.compute(calls[0])
        (log,) = (tmp_path / "work" / "logs").iterdir()
        started, done = (line.split() for line in log.read_text().splitlines())
        assert started[-2:] == ["started", calls[0].ref.key] and done[-2:] == ["done", calls[0].ref.key]
        worker = int(started[1])
        os.kill(worker, signal.SIGKILL)
        with suppress(ChildProcessError):  # the pool has seen its end already; else its exit code is left to the pool
            os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT)
        with pytest.raises(InfrastructureError, match=f"was killed by SIGKILL(?s:.)*done {calls[0].ref.key}"):
            pool.compute(calls[1])
        assert pool.compute(calls[1]) == calls[1].ref
    finally:
        pool.close()


def test_work_dir_that_cannot_be_made_is_named_before_any_call(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"^runtime\.work_dir: .*file/work cannot be made"):
        WorkerPool(RuntimeConfig(work_dir=str(tmp_path / "file" / "work")), str(tmp_path / "store"))


def test_closing_the_pool_ends_the_call_in_progress_commits_nothing_and_starts_nothing_more(tmp_path: Path) -> None:
    pool = WorkerPool(RuntimeConfig(work_dir=str(tmp_path / "work")), str(tmp_path / "store"))
    log = tmp_path / "log"
    waiting = count_up.call(Numbers(count=1, log=str(log), trouble="waits"), ToyInputs())
    queued = count_up.call(Numbers(count=2, log=str(log)), ToyInputs())
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(pool.compute, waiting)
        while not log.exists():
            assert not wait([first], 0.05).done
        second = threads.submit(pool.compute, queued)
        pool.close()
        for answer in (first, second):
            with pytest.raises(StageFailed, match="its run"):
                answer.result(30)
    assert log.read_text().split() == ["numbers1"]
    assert list(ArtifactStore(tmp_path / "store").list()) == []


def test_signal_sent_to_all_processes_of_a_run_does_not_end_a_worker_before_its_pool_does(tmp_path: Path) -> None:
    pool = WorkerPool(RuntimeConfig(work_dir=str(tmp_path / "work")), str(tmp_path / "store"))
    for name in ("arrivals", "go"):
        os.mkfifo(tmp_path / name)
    call = gated.call(Gate(folder=str(tmp_path)), ToyInputs())
    with ThreadPoolExecutor(1) as threads:
        try:
            answer = threads.submit(pool.compute, call)
            worker = int((tmp_path / "arrivals").read_text())
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                os.kill(worker, number)
            gate = None
            while gate is None:
                assert not wait([answer], 0.05).done, "the worker is gone"
                with suppress(OSError):  # it does not read yet
                    gate = os.open(tmp_path / "go", os.O_WRONLY | os.O_NONBLOCK)
            os.close(gate)
            assert answer.result(60) == call.ref
        finally:
            pool.close()


@pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed")
def test_worker_with_a_vllm_engine_ends_with_a_clean_exit_code_and_leaves_no_process(tmp_path: Path) -> None:
    pool = WorkerPool(RuntimeConfig(work_dir=str(tmp_path / "work"), threads_per_worker=1), str(tmp_path / "store"))
    sampling = SamplingConfig(engine="vllm", max_new_tokens=16)
    inputs = CollectInputs(ModelInput.find("latent-mini"), ProblemsInput.find(BenchmarkConfig(), "train"))
    try:
        pool.compute(collect_shard.call(CollectShard(sampling=sampling, start=0, stop=2), inputs))
        (worker,) = (worker._process for worker in pool._workers)
        family = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
    finally:
        pool.close()
    assert worker.exitcode == 0
    assert not psutil.wait_procs(family, timeout=30)[1]
