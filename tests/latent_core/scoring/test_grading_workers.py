"""Workers: limits, crashes, threads, child processes, and that none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from latent_core.errors import InfrastructureError
from latent_core.scoring import workers
from latent_core.scoring.workers import Comparison, WorkerPool

ROOT = Path(__file__).parents[3]
TOWER = "9^{9^{9^{9}}}"


def test_pool_hang_times_out_and_the_next_comparison_works() -> None:
    pool = WorkerPool(size=1, time_limit=0.3)
    assert pool.compare("7", TOWER) is Comparison.TIMED_OUT
    assert pool.compare("1/2", r"\frac{2}{4}") is Comparison.EQUAL
    pool.close()


def test_pool_sleeping_worker_is_ended_by_the_wall_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        workers, "_WORKER_CODE", r"import os, signal; os.write(1, b'ready\n'); signal.pause()"
    )  # spends no CPU time
    pool = WorkerPool(size=1, time_limit=0.05)
    assert pool.compare("1", "2") is Comparison.TIMED_OUT
    pool.close()


def test_pool_worker_killed_between_requests_is_replaced() -> None:
    pool = WorkerPool(size=1)
    assert pool.compare("1/2", "0.5") is Comparison.EQUAL
    worker = pool._idle.get()
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    pool._idle.put(worker)
    assert pool.compare("1/2", "0.5") is Comparison.EQUAL
    pool.close()


def test_pool_worker_that_always_dies_is_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_WORKER_CODE", r"import os; os.write(1, b'ready\n'); os.read(0, 1); os.abort()")
    pool = WorkerPool(size=1)
    assert pool.compare("1", "2") is Comparison.CRASHED
    pool.close()


def test_pool_worker_that_cannot_start_raises_infrastructure_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_WORKER_CODE", "raise SystemExit(3)")
    with pytest.raises(InfrastructureError, match="status 3"):
        WorkerPool(size=1).compare("1", "2")


def test_pool_threads_more_than_workers_all_get_answers() -> None:
    pool = WorkerPool(size=2)
    results: list[Comparison] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(pool.compare(f"{n}/2", f"\\frac{{{n}}}{{2}}")))
        for n in range(1, 9)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [Comparison.EQUAL] * 8
    pool.close()


_PARENT = """
import multiprocessing, sys
from latent_core.scoring import workers

def worker_pid():
    pool = workers.shared_pool()
    assert pool.compare("1/2", "0.5") is workers.Comparison.EQUAL
    worker = pool._idle.get()
    pool._idle.put(worker)
    return worker.pid

def report(results):
    results.put(worker_pid())

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    results = context.SimpleQueue()
    ours = worker_pid()
    child = context.Process(target=report, args=(results,), daemon=True)
    child.start()
    child.join()
    print(child.exitcode, results.get() != ours, worker_pid() == ours)
"""


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_shared_pool_in_daemonic_child_process_has_workers_of_its_own(method: str, tmp_path: Path) -> None:
    # In a process of its own: a child forked from the test runner would also run other libraries' exit handlers.
    (tmp_path / "parent.py").write_text(_PARENT)
    done = subprocess.run(
        [sys.executable, tmp_path / "parent.py", method],
        capture_output=True,
        text=True,
        timeout=100,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.split() == ["0", "True", "True"], done.stderr


def test_worker_parent_killed_in_mid_comparison_ends_too() -> None:
    code = (
        "import os, signal\n"
        "from latent_core.scoring import workers\n"
        "workers.shared_pool().compare('1/2', '0.5')\n"
        # The request is written before its reply is read, so the worker is left with the tower to compute.
        "workers._Worker._read_line = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"workers.shared_pool().compare('7', {TOWER!r})\n"
    )
    caller = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, cwd=ROOT)
    # The worker shares the caller's standard error: its end is reached only when both are gone.
    caller.communicate(timeout=60)
    assert caller.returncode == -signal.SIGKILL


def test_worker_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys\n"
        "from latent_core.scoring.symbolic import equivalent\n"
        "assert equivalent('1/2', '0.5')\n"
        "print(sorted({'torch', 'transformers', 'math_verify'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "['math_verify']"


def test_grading_import_leaves_sympy_to_the_workers() -> None:
    code = "import sys, latent_core.scoring; print(sorted({'torch', 'sympy', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
