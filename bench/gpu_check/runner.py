"""Checks in processes of their own: a crash, a poisoned CUDA context or a hang costs one check, and what it said stays.

The processes are forks of one that has imported the libraries (multiprocessing's forkserver), so that a check starts at
once. Where CUDA cannot be started in such a fork, they are started anew (spawn), which costs each its imports.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

from bench.gpu_check.checks import NO_GPU, Check
from bench.gpu_check.findings import FAILED, SKIPPED, Findings, Row
from bench.gpu_check.place import Place

PRELOAD = "bench.gpu_check.preload"
OURS = ("bench", "latent_core", "tasks")
LOG_LINES = 40  # of a failed process, for the record


class Outcome(NamedTuple):
    """What one check said, how long it took, and the tracebacks of its processes that failed."""

    rows: list[Row]
    seconds: float
    tracebacks: list[str]


class Failure(NamedTuple):
    """Sent by a process whose check raised."""

    line: str
    traceback: str


def context_for(device: str, patience: float = 1.0) -> Any:
    """How processes are started here. Where a fork cannot use the GPU, by spawning."""
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload([PRELOAD])
    try:
        process = forking.Process(target=_probe, args=(device,))
        process.start()
        process.join(120 * patience)
        if process.exitcode == 0:
            return forking
        if process.is_alive():
            process.kill()
    except (OSError, EOFError) as error:
        print(f"checks are spawned: {error}", file=sys.stderr)
    return multiprocessing.get_context("spawn")


def _probe(device: str) -> None:
    import torch

    torch.ones(1, device=device).sum().item()


def run(check: Check, place: Place, context: Any, limit: float, said: Callable[[Row], None]) -> Outcome:
    """Run a check for at most `limit` seconds; `said` gets each row as it comes. Never raises for what a check does."""
    started = time.monotonic()
    rows: list[Row] = []
    tracebacks: list[str] = []

    def add(row: Row) -> None:
        rows.append(row)
        said(row)

    def fail(number: int, line: str, trace: str = "") -> None:
        what = check.name if check.processes == 1 else f"{check.name}, process {number}"
        add(Row(check.name, what, f"failed: {line}", FAILED, {}))
        tracebacks.append(f"{trace or line}\nLast lines of its log:\n{_tail(_log(check.name, number, place))}")

    processes: list[Any] = []
    readers: dict[Connection, int] = {}
    for number in range(check.processes):
        reader, writer = context.Pipe(duplex=False)
        environment = check.environment(number) | (NO_GPU if check.on_cpu or not place.on_gpu else {})
        process = context.Process(
            target=_work,
            args=(check.run, check.name, place._replace(number=number), environment, os.getpid(), writer),
        )
        process.start()
        writer.close()
        processes.append(process)
        readers[reader] = number
    ended: set[int] = set()
    for number, message in _messages(readers, started + limit):
        if isinstance(message, Row):
            add(message)
        elif isinstance(message, Failure):
            fail(number, message.line, message.traceback)
            ended.add(number)
        else:
            ended.add(number)
    for number, process in enumerate(processes):
        process.join(5 if number in ended else max(0.0, min(5.0, started + limit - time.monotonic())))
        if process.is_alive():
            process.kill()
            process.join(10)
            if number not in ended:
                fail(number, f"no end within {limit:.0f} s")
        elif number not in ended:
            fail(number, f"its process died with exit code {process.exitcode}")
    return Outcome(rows, time.monotonic() - started, tracebacks)


def _messages(readers: dict[Connection, int], until: float) -> Iterator[tuple[int, Any]]:
    """What processes send, with their numbers, until all have closed their ends or the time is up."""
    open_ones: list[Any] = list(readers)
    while open_ones:
        ready: Sequence[Any] = wait(open_ones, max(0.0, until - time.monotonic()))
        if not ready:
            return
        for reader in ready:
            try:
                yield readers[reader], reader.recv()
            except (EOFError, OSError):
                open_ones.remove(reader)


def _work(
    function: Callable[..., None], name: str, place: Place, environment: dict[str, str], owner: int, writer: Connection
) -> None:
    """In the process: run the check, and end with a word about how, or with the process that asked for it."""
    os.environ.update(environment)
    with _log(name, place.number, place).open("wb") as log:  # what libraries print would hide the table
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    with suppress(ImportError):  # without psutil it would outlive its owner, if by no more than its own time
        from latent_core.processes import end_with

        end_with(owner)
    findings = Findings(name, writer.send)
    try:
        function(place, findings)
    except ModuleNotFoundError as error:
        package = (error.name or str(error)).partition(".")[0]
        if package in OURS:
            writer.send(Failure(f"ModuleNotFoundError: {error}", traceback.format_exc()))
        else:
            findings.skip(name, f"{package} is not installed")
            writer.send(None)
    except Exception as error:  # whatever it is, it becomes a row
        line = (str(error).strip() or "no message").splitlines()[0]
        writer.send(Failure(f"{type(error).__name__}: {line}"[:300], traceback.format_exc()))
    else:
        writer.send(None)
    writer.close()


def _log(name: str, number: int, place: Place) -> Path:
    return place.folder / f"{name}-{number}.log"


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    return "\n".join(line[-500:] for line in lines[-LOG_LINES:])


def skipped(check: Check, reason: str) -> Outcome:
    """The outcome of a check that is not run."""
    return Outcome([Row(check.name, check.name, reason, SKIPPED, {})], 0.0, [])
