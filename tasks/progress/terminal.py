"""Showing how far long stages are: rate and time left, as log lines or as bars on a terminal."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.workers.pool import Progress

if TYPE_CHECKING:
    from rich.progress import TaskID

INTERVAL = 10.0  # seconds between two log lines of one stage
logger = logging.getLogger("latent")
_chosen: list[Callable[[Progress], None]] = []


@contextmanager
def shown_by(sink: Callable[[Progress], None]) -> Iterator[None]:
    """Runs inside the block report their progress to `sink` instead of the log."""
    _chosen.append(sink)
    try:
        yield
    finally:
        _chosen.pop()


def current_sink() -> Callable[[Progress], None]:
    return _chosen[-1] if _chosen else ProgressLog()


def shown_to(*sinks: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """All of the sinks as one."""

    def show(progress: Progress) -> None:
        for sink in sinks:
            sink(progress)

    return show


@dataclass
class _Seen:
    started: float
    shown: float
    first: int
    finished: bool = False


class ProgressLog:
    """One log line per stage every ten seconds."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        seen = self._seen.setdefault(progress.fingerprint, _Seen(now, now, progress.done))
        if seen.finished or (now - seen.shown < INTERVAL and progress.done < progress.total):
            return
        seen.shown, seen.finished = now, progress.done >= progress.total
        logger.info(describe(progress, seen.started, seen.first, now))


def describe(progress: Progress, started: float, first: int, now: float) -> str:
    """`collect_shard 2/4: 120/500 (24 %), 31.0/s, 1,850 tokens/s, 12 s left`."""
    elapsed = max(now - started, 1e-9)
    rate = (progress.done - first) / elapsed
    parts = [f"{progress.title}: {progress.done:,}/{progress.total:,}"]
    if rate > 0:
        parts.append(f"{rate:,.1f}/s")
        if progress.tokens:
            parts.append(f"{progress.tokens / elapsed:,.0f} tokens/s")
        parts.append(f"{(progress.total - progress.done) / rate:,.0f} s left")
    return ", ".join(parts)


class ProgressBars:
    """Bars with rate and time left on a terminal; use as a context manager around a run."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            transient=True,
        )
        self._ids: dict[str, tuple[TaskID, float]] = {}

    def __enter__(self) -> ProgressBars:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.fingerprint not in self._ids:
            bar = self._bars.add_task(progress.title, total=progress.total, rate="")
            self._ids[progress.fingerprint] = (bar, now)
        bar, started = self._ids[progress.fingerprint]
        rate = f"{progress.tokens / max(now - started, 1e-9):,.0f} tokens/s" if progress.tokens else ""
        self._bars.update(bar, completed=progress.done, total=progress.total, rate=rate)
        if progress.done >= progress.total:
            self._bars.update(bar, visible=False)
