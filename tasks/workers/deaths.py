"""How a worker process ended: by which signal, for want of memory, or by its own hand because its lease was lost."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn, Protocol

LOST_LEASE_EXIT = 75  # EX_TEMPFAIL of sysexits.h: to be tried again
_OOM_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))  # of this container, else of the machine


def end_process(reason: str) -> NoReturn:
    """End this process at once, whatever its threads compute; the reason is the last line of its log."""
    sys.stderr.write(f"{reason}\n")
    sys.stderr.flush()
    os._exit(LOST_LEASE_EXIT)


def out_of_memory_kills(counters: tuple[Path, ...] = _OOM_COUNTERS) -> int | None:
    """How many processes the kernel has killed for want of memory so far; None where it does not say."""
    for path in counters:
        if not path.is_file():
            continue
        for line in path.read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None


class ChildProcess(Protocol):
    """What `multiprocessing` calls a process."""

    @property
    def exitcode(self) -> int | None: ...

    def join(self, timeout: float | None = None) -> None: ...


def exit_code_of(process: ChildProcess, patience: float) -> int | None:
    """The exit code of a process that is ending; None when nobody knows it after `patience` seconds.

    A child is reaped once, by whichever thread asks first, and every other thread is told nothing until that one has
    stored the code: `join` may return before it is there.
    """
    deadline = time.monotonic() + patience
    process.join(patience)
    while (code := process.exitcode) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return code


def cause_of_death(exit_code: int | None, kills_before: int | None, kills_after: int | None) -> str:
    """In words; the exit code is a process's: negative for a signal. The kills are those of `out_of_memory_kills`."""
    if exit_code is None:
        return "died"
    if exit_code == LOST_LEASE_EXIT:
        return "ended because another run took over its lease"
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    if name != "SIGKILL":
        return f"was killed by {name}"
    if kills_before is not None and kills_after is not None and kills_after > kills_before:
        return "was killed by SIGKILL: the kernel was out of memory; use fewer workers or smaller batches"
    return "was killed by SIGKILL: by hand, or by whatever watches over memory here"
