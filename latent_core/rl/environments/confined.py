"""Programs that nobody trusts, run within limits: one process each, killed at its limits, leaving nothing behind.

What the process may do is decided in `confined_program.py`; here it is started, read, timed and killed.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from latent_core.rl.environments.protocol import EnvironmentFailed

_PROGRAM = Path(__file__).with_name("confined_program.py")
_START_SECONDS = 300.0  # until the process is ready; it has not yet run a line of the program
_PATIENCE = 20  # wall times that a process may take in all


@dataclass(frozen=True)
class Limits:
    """What one run may use. Time that a process spends waiting for a busy processor is not counted as wall time: how
    much else runs on the machine must not decide a result. After `_PATIENCE` wall times a run is given up."""

    cpu_seconds: int = 4
    wall_seconds: float = 10.0
    memory: int = 512 * 2**20  # bytes of address space
    output: int = 2**20  # bytes of printed text, and of results


class End(StrEnum):
    """How a run ended."""

    FINISHED = "finished"
    RAISED = "raised"  # an exception; `Run.error` says which
    CRASHED = "crashed"  # by a signal, or with an exit status and no exception
    CPU_TIME = "cpu_time"
    WALL_TIME = "wall_time"
    OUTPUT = "output"


@dataclass(frozen=True)
class Run:
    """What a program did: how it ended, what it printed, and one result for each call that returned."""

    end: End
    output: str = ""
    results: tuple[Any, ...] = ()
    error: str = ""


def call_function(source: str, function: str, arguments: Sequence[Sequence[Any]], limits: Limits | None = None) -> Run:
    """Call `function` of a program once for each list of arguments, in one process; all of them share the limits.

    Arguments and results are JSON values. Raises EnvironmentFailed where programs cannot be confined, or the machine is
    too busy to tell whether one goes over its limits.
    """
    return _run(source, function, [list(values) for values in arguments], "", limits or Limits())


def run_program(source: str, stdin: str, limits: Limits | None = None) -> Run:
    """Run a program that reads `stdin` and prints. Raises EnvironmentFailed as `call_function` does."""
    return _run(source, None, [], stdin, limits or Limits())


def _run(source: str, function: str | None, arguments: list[list[Any]], stdin: str, limits: Limits) -> Run:
    job = {
        "source": source,
        "function": function,
        "arguments": arguments,
        "cpu_seconds": limits.cpu_seconds,
        "memory": limits.memory,
    }
    if not sys.platform.startswith("linux"):
        raise _unconfined(f"there is no filter of system calls on {sys.platform}")
    job_file, stdin_file = _held(json.dumps(job).encode()), _held(stdin.encode(errors="replace"))
    status, status_end = os.pipe()
    try:
        process = subprocess.Popen(
            [
                *(sys.executable, "-s", "-S", "-P", "-B", "-X", "utf8", str(_PROGRAM)),
                *(str(job_file), str(status_end), str(os.getpid()), tempfile.gettempdir()),
            ],
            stdin=stdin_file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(job_file, status_end),
            env={"PYTHONHASHSEED": "0"},
            cwd="/",
            start_new_session=True,
        )
    except BaseException:
        os.close(status)
        raise
    finally:
        for number in (job_file, stdin_file, status_end):
            os.close(number)
    assert process.stdout is not None
    with process.stdout as stdout, os.fdopen(status, "rb") as status_file:
        try:
            reader = _Reader(stdout.fileno(), status_file.fileno(), limits)
            stopped = reader.read(process)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
    return _outcome(reader, stopped, code)


def _waited(pid: int) -> float:
    """Seconds that a process was ready to run and had to wait for a processor; 0 where the kernel does not count."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def _held(content: bytes) -> int:
    """A file in memory that holds the content, to be read from its start."""
    number = os.memfd_create("held")
    with os.fdopen(os.dup(number), "wb") as file:
        file.write(content)
    os.lseek(number, 0, os.SEEK_SET)
    return number


class _Reader:
    """What a process prints and says of itself, up to the limits."""

    def __init__(self, stdout: int, status: int, limits: Limits) -> None:
        self.texts = {stdout: bytearray(), status: bytearray()}
        self._stdout, self._status, self._limits = stdout, status, limits

    def read(self, process: subprocess.Popen[bytes]) -> End | None:
        """Read until the process is done; the limit that it went over, if it did. It may still run then.

        Raises EnvironmentFailed where the machine is too busy to tell.
        """
        begun, started = time.monotonic(), False
        left = _START_SECONDS
        with selectors.DefaultSelector() as selector:
            for number in self.texts:
                selector.register(number, selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select(left):
                    if not (part := os.read(key.fd, 65536)):
                        selector.unregister(key.fd)
                        continue
                    self.texts[key.fd] += part
                    if len(self.texts[key.fd]) > self._limits.output:
                        return End.OUTPUT
                    if not started and key.fd == self._status:
                        begun, started = time.monotonic(), True
                left = self._left(process.pid, begun) if started else begun + _START_SECONDS - time.monotonic()
                if left <= 0:
                    return End.WALL_TIME
        while process.poll() is None:  # it has closed what it writes to: most often because it is ending
            if self._left(process.pid, begun) <= 0:
                return End.WALL_TIME
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        return None

    def _left(self, pid: int, begun: float) -> float:
        """Seconds of wall time that a process still has, without those for which it waited for a processor."""
        passed = time.monotonic() - begun
        left = self._limits.wall_seconds - passed + min(passed, _waited(pid))
        patience = _PATIENCE * self._limits.wall_seconds - passed
        if patience <= 0 < left:
            raise EnvironmentFailed(
                f"environment: code: in {passed:.0f} s a program got too little of the processor to be judged; "
                "run fewer processes on this machine"
            )
        return min(left, patience)

    @property
    def output(self) -> str:
        return self.texts[self._stdout].decode(errors="replace")

    def messages(self) -> list[dict[str, Any]]:
        """What the process said, as far as it can be read: the program can write here too."""
        found = []
        for line in self.texts[self._status].split(b"\n"):
            with suppress(ValueError, RecursionError):
                if isinstance(message := json.loads(line), dict):
                    found.append(message)
        return found


def _outcome(reader: _Reader, stopped: End | None, code: int) -> Run:
    messages = reader.messages()
    if not messages or "ready" not in messages[0]:
        raise _unconfined(str(messages[0].get("refused")) if messages else f"its process ended with status {code}")
    results = tuple(message["result"] for message in messages if "result" in message)
    error = next((said for message in messages if isinstance(said := message.get("error"), str)), "")
    if stopped is not None:
        return Run(stopped, results=results)
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return Run(End.CPU_TIME, results=results)
    if code == 0:
        return Run(End.FINISHED, reader.output, results)
    # What a program says of its end can spell half a surrogate pair, which no UTF-8, and so no tokenizer, can hold.
    error = error.encode(errors="backslashreplace").decode()
    return Run(End.RAISED if error else End.CRASHED, reader.output, results, error or f"exit status {code}")


def _unconfined(why: str) -> EnvironmentFailed:
    return EnvironmentFailed(
        f"environment: code: programs cannot be confined on this machine ({why}); "
        "use Linux with seccomp, on x86_64 or aarch64"
    )
