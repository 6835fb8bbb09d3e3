"""Showing how far a run and its stages are, and what came of them: as log lines, or with bars on a terminal."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tasks.progress.count import RunCount
from tasks.workers.pool import Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

INTERVAL = 10.0  # seconds between two log lines of one call, or of the run
logger = logging.getLogger("latent")


class Display(Protocol):
    """Where a run's progress is shown to who started it; its methods are called from any thread."""

    def follow(self, count: RunCount) -> None:
        """A run begins to compute; `count` says how far it is."""
        ...

    def __call__(self, progress: Progress) -> None:
        """A worker says how far it is with a call."""
        ...

    def result(self, fingerprint: str, line: str) -> None:
        """A call that this run computed is there; `line` tells of it, and is empty where it is told of later."""
        ...


_chosen: list[Display] = []


@contextmanager
def shown_by(display: Display) -> Iterator[None]:
    """Runs inside the block show their progress on `display` instead of the log."""
    _chosen.append(display)
    try:
        yield
    finally:
        _chosen.pop()


def current_display() -> Display:
    return _chosen[-1] if _chosen else ProgressLog()


@dataclass
class _Seen:
    started: float
    shown: float
    first: int


class ProgressLog:
    """Log lines: how far the run is and how far each call is, every ten seconds at most, and each result."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._count: RunCount | None = None
        self._shown = 0.0

    def follow(self, count: RunCount) -> None:
        self._count = count
        self._show_run(time.monotonic())

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        seen = self._seen.setdefault(progress.fingerprint, _Seen(now, now, progress.done))
        if now - seen.shown < INTERVAL or progress.done >= progress.total:
            return
        seen.shown = now
        if now - self._shown >= INTERVAL:
            self._show_run(now)
        logger.info(describe(progress, seen.started, seen.first, now))

    def result(self, fingerprint: str, line: str) -> None:
        self._seen.pop(fingerprint, None)
        if line:
            logger.info("%s", line)
        now = time.monotonic()
        if now - self._shown >= INTERVAL:
            self._show_run(now)

    def _show_run(self, now: float) -> None:
        if self._count is not None:
            self._shown = now
            logger.info("%s", self._count.line())


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
    """On a terminal: how far the run is, over bars with rate and time left of what is under way, below the results.

    Use as a context manager around a run. What is logged meanwhile is printed above the bars.
    """

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console, Group
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars
        from rich.text import Text

        display = self

        class BarsUnderLine(Bars):
            def get_renderables(self) -> Iterator[Group]:
                line = [] if display._count is None else [Text(display._count.line(), style="bold")]
                yield Group(*line, self.make_tasks_table(self.tasks))

        self._count: RunCount | None = None
        self._bars = BarsUnderLine(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
            transient=True,
        )
        self._ids: dict[str, tuple[TaskID, float]] = {}
        self._streams: list[tuple[logging.StreamHandler[Any], Any]] = []

    def __enter__(self) -> ProgressBars:
        streams = (sys.stderr, sys.stdout)
        handlers = [item for item in logging.getLogger().handlers if isinstance(item, logging.StreamHandler)]
        self._bars.start()
        for handler, stream in [(item, item.stream) for item in handlers if item.stream in streams]:
            self._streams.append((handler, stream))
            handler.setStream(sys.stderr)  # rich's by now, which prints above the bars
        return self

    def __exit__(self, *error: object) -> None:
        for handler, stream in self._streams:
            handler.setStream(stream)
        self._streams.clear()
        self._bars.stop()

    def follow(self, count: RunCount) -> None:
        self._count = count

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.fingerprint not in self._ids:
            if progress.done >= progress.total:  # a worker's last words can come after its result
                return
            bar = self._bars.add_task(progress.title, total=progress.total, rate="")
            self._ids[progress.fingerprint] = (bar, now)
        bar, started = self._ids[progress.fingerprint]
        rate = f"{progress.tokens / max(now - started, 1e-9):,.0f} tokens/s" if progress.tokens else ""
        self._bars.update(bar, completed=progress.done, total=progress.total, rate=rate)

    def result(self, fingerprint: str, line: str) -> None:
        if fingerprint in self._ids:
            self._bars.remove_task(self._ids.pop(fingerprint)[0])
        if line:
            self._bars.console.print(line, highlight=False, markup=False)
