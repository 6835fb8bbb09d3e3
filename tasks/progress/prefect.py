"""Progress in Prefect's pages: one artifact over the run, and one a stage with rows, tokens/s and time left."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from tasks.stage import StageCall
from tasks.workers.pool import Progress

INTERVAL = 10.0  # seconds between two updates of one artifact
RUN_KEY = "progress"  # of the artifact over the whole run
logger = logging.getLogger("latent")


class Board(Protocol):
    """Where progress is shown."""

    def create(self, key: str, percent: float, description: str) -> Any:
        """Show a new entry; returns what names it."""
        ...

    def update(self, entry: Any, percent: float, description: str) -> None: ...


@dataclass
class _Tally:
    calls: int = 0
    finished: set[str] = field(default_factory=set)
    done: dict[str, int] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    started: float = 0.0
    shown: float = 0.0
    entry: Any = None

    def percent(self) -> float:
        running = sum(
            done / self.total[name]
            for name, done in self.done.items()
            if name not in self.finished and self.total[name]
        )
        return 100.0 * (len(self.finished) + running) / self.calls if self.calls else 0.0

    def describe(self, stage: str, now: float) -> str:
        """`collect_shard: 7 of 30 done, 14,000 rows, 310.0/s, 46,000 tokens/s, 148 s left`."""
        rows, elapsed = sum(self.done.values()), max(now - self.started, 1e-9)
        parts = [f"{stage}: {len(self.finished)} of {self.calls} done", f"{rows:,} rows"]
        if rows and len(self.finished) < self.calls:
            mean = sum(self.total.values()) / len(self.total)
            under_way = sum(done for name, done in self.done.items() if name not in self.finished)
            left = mean * (self.calls - len(self.finished)) - under_way
            parts.append(f"{rows / elapsed:,.1f}/s")
            if tokens := sum(self.tokens.values()):
                parts.append(f"{tokens / elapsed:,.0f} tokens/s")
            parts.append(f"{max(left, 0.0) * elapsed / rows:,.0f} s left")
        return ", ".join(parts)


class StageProgress:
    """Adds up what the workers of a run say, by stage; rates are of what this run computed, hits left out.

    `clock` gives seconds. A board that fails is given up with one warning: progress never stops the work.
    """

    def __init__(self, board: Board | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._board = board
        self._clock = clock
        self._tallies: dict[str, _Tally] = {}
        self._stages: dict[str, str] = {}  # of a call's fingerprint
        self._lock = threading.Lock()
        self._run: Any = None
        self._run_shown = -INTERVAL

    def expect(self, call: StageCall) -> None:
        """One more call belongs to the stage."""
        with self._lock:
            self._stages[call.ref.fingerprint] = call.stage.name
            self._tallies.setdefault(call.stage.name, _Tally()).calls += 1

    def __call__(self, progress: Progress) -> None:
        with self._lock:
            stage = self._stages.get(progress.fingerprint)
            if stage is None:
                return
            tally, now = self._tallies[stage], self._clock()
            tally.started = tally.started or now
            tally.done[progress.fingerprint] = progress.done
            tally.total[progress.fingerprint] = progress.total
            tally.tokens[progress.fingerprint] = progress.tokens
            late = len(tally.finished) == tally.calls  # a worker's last words came after its result
            if tally.entry is None or late or now - tally.shown >= INTERVAL:
                self._show(stage, tally, now)

    def finish(self, call: StageCall) -> None:
        """A call's artifact is in the store. Stages that say nothing while they work get no entry."""
        with self._lock:
            tally = self._tallies[call.stage.name]
            tally.finished.add(call.ref.fingerprint)
            now = self._clock()
            last = len(tally.finished) == tally.calls
            if tally.entry is not None and (last or now - tally.shown >= INTERVAL):
                self._show(call.stage.name, tally, now)

    def show_run(self, say: Callable[[], tuple[float, str]], last: bool = False) -> None:
        """Show how far the whole run is, when it is time to: `say` gives percent and words. `last` is always shown,
        where anything was."""
        with self._lock:
            now = self._clock()
            due = self._run is not None if last else now - self._run_shown >= INTERVAL
            if self._board is not None and due:
                self._run_shown = now
                percent, words = say()
                self._run = self._put(self._run, RUN_KEY, percent, words)

    def _show(self, stage: str, tally: _Tally, now: float) -> None:
        tally.shown = now
        key = f"progress-{stage.replace('_', '-')}"
        tally.entry = self._put(tally.entry, key, tally.percent(), tally.describe(stage, now))

    def _put(self, entry: Any, key: str, percent: float, description: str) -> Any:
        """Create or update an entry; returns it."""
        import httpx

        if self._board is None:
            return entry
        try:
            if entry is None:
                return self._board.create(key, percent, description)
            self._board.update(entry, percent, description)
        except (httpx.HTTPError, OSError, RuntimeError) as error:
            logger.warning("progress is no longer shown in Prefect: %s", error)
            self._board = None
        return entry


class PrefectBoard:
    """Progress artifacts of the flow run in which this is made; its methods may be called from any thread."""

    def __init__(self) -> None:
        self._context = contextvars.copy_context()

    def create(self, key: str, percent: float, description: str) -> Any:
        from prefect.artifacts import create_progress_artifact

        return self._context.copy().run(create_progress_artifact, percent, key=key, description=description)

    def update(self, entry: Any, percent: float, description: str) -> None:
        from prefect.artifacts import update_progress_artifact

        self._context.copy().run(update_progress_artifact, entry, percent, description=description)
