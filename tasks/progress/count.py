"""How far a run is, in words: "7 of 24 stages, about 6 min left"; at its end, what was computed in what time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tasks.progress.durations import duration, estimated
from tasks.progress.left import Costs, Running, StageTime, pace_of
from tasks.stage import StageCall
from tasks.workers.pool import Progress

_NAMED = 4  # stages that a line names at most


class RunCount:
    """Counts the calls of a run; its methods may be called from any thread.

    What is added for a call costs the same in a run of any length. `clock` gives seconds.
    """

    def __init__(self, workers: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = self.done = self.cached = 0
        self._workers = workers
        self._clock = clock
        self._started: float | None = None
        self._heard = clock()  # when something of the run was told last
        self._stages: dict[str, StageTime] = {}
        self._open: dict[str, StageCall] = {}  # by fingerprint
        self._looked = False  # whether earlier results were looked at
        self._lock = threading.RLock()

    def expect(self, call: StageCall) -> None:
        """One more call belongs to the run."""
        with self._lock:
            stage = self._stages.setdefault(call.stage.name, StageTime())
            stage.calls += 1
            stage.open += 1
            self.total += 1
            self._open[call.ref.fingerprint] = call

    def start(self) -> None:
        """Computing begins; the time of the run counts from the first time on."""
        with self._lock:
            self._heard = self._clock()
            self._started = self._heard if self._started is None else self._started

    def open_stages(self) -> list[str]:
        """The names of the stages that have calls which are not there yet."""
        with self._lock:
            return [name for name, stage in self._stages.items() if stage.open]

    def learn(self, costs: Costs) -> None:
        """Expect of every call that is not there yet what such calls took before."""
        with self._lock:
            open_calls = list(self._open.values())
        for call in open_calls:
            cost = costs(call.stage.name, call.expected_rows)
            with self._lock:
                if cost is not None and call.ref.fingerprint in self._open:
                    self._stages[call.stage.name].expect(call.ref.fingerprint, cost)
        self._looked = True

    def word(self, progress: Progress) -> None:
        """A worker says how far it is with a call."""
        with self._lock:
            call = self._open.get(progress.fingerprint)
            if call is None:
                return
            self._heard = self._clock()
            running = self._stages[call.stage.name].running
            if progress.fingerprint not in running:
                running[progress.fingerprint] = Running(self._heard, progress.done, progress.done, progress.total)
            running[progress.fingerprint].done = progress.done
            running[progress.fingerprint].total = progress.total

    def end(self, call: StageCall, rows: int, taken: tuple[float, float] | None) -> StageTime:
        """A call's artifact is there; `taken` is when this run began to compute it and for how many seconds."""
        with self._lock:
            stage = self._stages[call.stage.name]
            if self._open.pop(call.ref.fingerprint, None) is None:
                return stage  # it was there before: something that needed it computed it again
            self._heard = self._clock()
            self.done += 1
            stage.rows += rows
            stage.end(call.ref.fingerprint, None if taken is None else taken[1])
            if taken is None:
                self.cached += 1
            else:
                stage.spans.add(taken[0], taken[0] + taken[1])
            return stage

    def percent(self) -> float:
        return 100.0 * self.done / self.total if self.total else 0.0

    def line(self) -> str:
        """`7 of 24 stages, about 6 min left`, with what is known of the time left."""
        with self._lock:
            return f"{self.done:,} of {self.total:,} stages{self._left()}"

    def _left(self) -> str:
        pace = pace_of(self._stages)
        left = {
            name: stage.left(self._heard, self._workers, pace) for name, stage in self._stages.items() if stage.open
        }
        unknown = [name for name, seconds in left.items() if seconds is None]
        if not left or (unknown and not self._looked):
            return ""
        known = sum(seconds for seconds in left.values() if seconds is not None)
        silence = self._clock() - self._heard
        if 0 < known < silence:
            return ", longer than earlier results took"
        words = estimated(known - silence)
        if not unknown:
            return f", about {words} left"
        named = ", ".join(unknown[:_NAMED]) + (f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else "")
        why = f"no earlier {named} to go by"
        return f", at least {words} left ({why})" if known else f", time left unknown ({why})"

    def summary(self) -> str:
        """What a run did, in at most two lines: calls computed and cached, its time, and the time by stage.

        The time of a stage is the time in which any of its calls was being computed.
        """
        with self._lock:
            now = self._clock()
            computed = self.done - self.cached
            missing = f", {self.total - self.done:,} not there" if self.done < self.total else ""
            took = duration(now - (now if self._started is None else self._started))
            first = f"{self.total:,} stages in {took}: {computed:,} computed, {self.cached:,} cached{missing}"
            times = {name: stage.spans.seconds for name, stage in self._stages.items() if stage.computed}
            if not times:
                return first
            longest = sorted(times, key=lambda name: times[name], reverse=True)
            parts = [f"{name} {duration(times[name])}" for name in longest[: 2 * _NAMED]]
            if rest := longest[2 * _NAMED :]:
                parts.append(f"{len(rest)} more {duration(sum(times[name] for name in rest))}")
            return f"{first}\ntime by stage: {', '.join(parts)}"
