"""Processes that work for another one: they must not outlive it, and what they said last explains their death."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOG_TAIL = 12  # lines of a dead process's log that the error about it carries


def log_tail(log: Path) -> str:
    """The last lines of a process's log; "(no log)" where it wrote none."""
    if not log.is_file():
        return "(no log)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL:])


def end_with(owner: int) -> None:
    """Make this process exit, with status 1 and at once, as soon as the process `owner` is gone."""
    threading.Thread(target=_follow, args=(owner,), daemon=True).start()


def _follow(owner: int) -> None:
    import psutil

    with suppress(psutil.NoSuchProcess):
        psutil.Process(owner).wait()
    os._exit(1)


@contextmanager
def deaf_to(*numbers: signal.Signals) -> Iterator[None]:
    """Processes that this thread starts meanwhile never hear of these signals, nor do those that they start."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
