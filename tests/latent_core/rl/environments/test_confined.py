"""Programs that loop, fork, write, allocate, connect, ignore signals or forge results: each ends within its limits."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from latent_core.rl.environments import EnvironmentFailed, confined
from latent_core.rl.environments.confined import End, Limits, Run, call_function, run_program

SMALL = Limits(cpu_seconds=1, wall_seconds=2.0, memory=256 * 2**20, output=100_000)

PATIENT = replace(SMALL, wall_seconds=60.0)  # a second of processor time may take minutes on a busy machine


@pytest.fixture(autouse=True)
def nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No process, no open file, and no file in the temporary directory."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = _processes(), _open_files()
    yield
    assert (_processes(), _open_files()) == before
    assert list(tmp_path.iterdir()) == []


def _processes() -> set[int]:
    """Those below this one; other tests may have left some that grade."""
    return {process.pid for process in psutil.Process().children(recursive=True)}


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _call(body: str) -> Run:
    return call_function(f"import os, sys, time\ndef solve():\n    {body}", "solve", [[]], SMALL)


def test_function_is_called_with_each_list_of_arguments_in_turn() -> None:
    source = "seen = []\ndef solve(a, b):\n    print('noise')\n    seen.append(a)\n"
    source += "    return {'sum': a + b, 'seen': (*seen,)}"
    run = call_function(source, "solve", [[1, 2], [3, 4.5]], SMALL)
    assert run.end is End.FINISHED
    assert run.results == ({"sum": 3, "seen": [1]}, {"sum": 7.5, "seen": [1, 3]})
    solution = "from typing import List\nclass Solution:\n    def solve(self, a: List[int]): return max(a)"
    assert call_function(solution, "solve", [[[1, 5, 2]]], SMALL).results == (5,)


@pytest.mark.parametrize("reading", ["input()", "sys.stdin.read()", "open(0).read()", "sys.stdin.buffer.read()"])
def test_program_reads_standard_input_and_prints(reading: str) -> None:
    run = run_program(
        f"import sys\nif __name__ == '__main__':\n    print(int({reading}) * 2, 'é')\n    exit()", "21\n", SMALL
    )
    assert (run.end, run.output) == (End.FINISHED, "42 é\n")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("os.fork()", "PermissionError"),
        ("os.posix_spawn('/bin/sh', ['sh'], {})", "PermissionError"),
        ("os.execv('/bin/sh', ['sh'])", "PermissionError"),
        ("import threading; threading.Thread(target=print).start()", "can't start new thread"),
        ("open('x', 'w')", "PermissionError"),
        ("open('/etc/passwd')", "PermissionError"),
        ("os.open('/tmp', os.O_TMPFILE | os.O_RDWR)", "PermissionError"),
        ("os.mkdir('/tmp/confined-made')", "PermissionError"),
        ("os.memfd_create('x')", "PermissionError"),
        ("os.kill(os.getppid(), 9)", "PermissionError"),
        ("os.setsid()", "PermissionError"),
        ("os.getcwd()", "FileNotFoundError"),
        ("os.listdir('/')", "PermissionError"),
        ("[0] * 10**10", "MemoryError"),
        ("bytearray(300 * 2**20)", "MemoryError"),
        ("import _socket; _socket.socket()", "Error"),
        ("return {1, 2}", "TypeError"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("return missing", "NameError"),
    ],
)
def test_program_that_asks_for_more_than_computing_is_refused_by_an_exception(body: str, error: str) -> None:
    run = _call(body)
    assert run.end is End.RAISED and error in run.error and run.results == ()


@pytest.mark.parametrize(
    "call",
    [
        "socket(2, 1, 0)",
        "fcntl(1, 8, os.getppid())",  # F_SETOWN, which can send signals
        "prlimit(0, 7, (ctypes.c_uint64 * 2)(99, 99), None)",
        "shmget(0, 4096, 0o1600)",
        "unshare(0x10000000)",
        "ptrace(16, os.getppid(), None, None)",
        "setsid()",
    ],
)
def test_system_call_without_python_between_is_refused_too(call: str) -> None:
    run = _call(f"import ctypes; c = ctypes.CDLL(None, use_errno=True); return [c.{call}, ctypes.get_errno()]")
    assert run.results == ([-1, 1],)  # EPERM


def test_loop_that_ignores_signals_is_killed_at_its_cpu_time() -> None:
    source = "import signal\nfor number in range(1, 32):\n    try:\n        signal.signal(number, signal.SIG_IGN)\n"
    run = run_program(f"{source}    except (OSError, ValueError):\n        pass\nwhile True: pass", "", PATIENT)
    assert run.end is End.CPU_TIME


@pytest.mark.parametrize("waiting", ["time.sleep(10**6)", "import threading; threading.Event().wait()"])
def test_program_that_waits_is_killed_at_its_wall_time(waiting: str) -> None:
    assert _call(waiting).end is End.WALL_TIME


def test_program_that_closes_its_files_and_waits_is_killed_too() -> None:
    run = run_program("import os, time\nos.closerange(0, 99)\ntime.sleep(10**6)", "", SMALL)
    assert run.end is End.WALL_TIME


def test_program_that_prints_without_bound_is_killed_and_its_text_dropped() -> None:
    run = run_program("while True: print('x' * 10**4)", "", SMALL)
    assert (run.end, run.output) == (End.OUTPUT, "")
    assert _call("return 'x' * 10**6").end is End.OUTPUT


def test_machine_too_busy_to_judge_a_program_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "_waited", lambda pid: 10**6)
    monkeypatch.setattr(confined, "_PATIENCE", 0.5)
    with pytest.raises(EnvironmentFailed, match="too little of the processor to be judged; run fewer"):
        _call("time.sleep(10**6)")


def test_exit_in_the_middle_gives_no_more_results() -> None:
    source = "import os\ndef solve(a):\n    if a == 2: os._exit(0)\n    return a"
    run = call_function(source, "solve", [[1], [2], [3]], SMALL)
    assert (run.end, run.results) == (End.FINISHED, (1,))
    assert run_program("import sys\nsys.exit(3)", "", SMALL).end is End.CRASHED


def test_process_that_starts_programs_can_be_killed_and_they_die_with_it() -> None:
    """The limits are kept by the program's own process as well: nobody must be there to enforce them."""
    source = (
        "from latent_core.rl.environments import confined\n"
        "left = confined._Reader._left\n"
        "def told(self, pid, begun):  # is first called when the program has begun\n"
        "    print(pid, flush=True)\n"
        "    return left(self, pid, begun)\n"
        "confined._Reader._left = told\n"
        "confined.run_program('import time\\ntime.sleep(10**6)', '', confined.Limits(wall_seconds=10**6))"
    )
    owner = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout:
        program = psutil.Process(int(owner.stdout.readline()))
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    try:
        program.wait(60)
    except psutil.TimeoutExpired:
        program.kill()
        pytest.fail("the program outlives the process that started it")
