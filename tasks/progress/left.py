"""How long the rest of a run takes: what its stages took before in the store, corrected by what they take now.

The time left of a stage is the seconds of its calls that are not there yet, divided by how many of them are computed at
once. Stages are added up as if they ran one after the other, which a run with several workers can beat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_LEAST_DONE = 0.02  # the share of a call that must be done before its own speed is believed


class Cost(NamedTuple):
    """What one call took in earlier runs: seconds of a worker, and how many such calls were computed at once."""

    seconds: float
    at_once: float


Costs = Callable[[str, int | None], Cost | None]
"""The cost of a call of a stage over so many rows; None where no earlier result tells."""


class Spans:
    """The time that intervals cover together. Takes them in about the order in which they end."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._spans: list[tuple[float, float]] = []

    def add(self, start: float, end: float) -> None:
        while self._spans and self._spans[-1][1] >= start:
            earlier = self._spans.pop()
            self.seconds -= earlier[1] - earlier[0]
            start, end = min(start, earlier[0]), max(end, earlier[1])
        self.seconds += end - start
        self._spans.append((start, end))


@dataclass
class Running:
    """A call that has said how far it is: from `first` rows at the second `started` on."""

    started: float
    first: int
    done: int
    total: int

    def left(self, now: float) -> float | None:
        """Seconds until it is done, at its own speed; None while too little of it is done to tell."""
        moved = self.done - self.first
        if not self.total or moved <= 0 or moved / self.total < _LEAST_DONE:
            return None
        return (now - self.started) / moved * max(self.total - self.done, 0)

    def whole(self, now: float) -> float | None:
        """Seconds of the whole call, at its own speed."""
        left = self.left(now)
        return None if left is None else now - self.started + left


@dataclass
class StageTime:
    """The calls of one stage: seconds that were expected of them, and seconds that they took."""

    calls: int = 0
    open: int = 0
    computed: int = 0
    rows: int = 0
    seconds: float = 0.0
    expected: dict[str, float] = field(default_factory=dict)  # of open calls, by fingerprint
    expected_open: float = 0.0
    expected_computed: float = 0.0
    at_once: float = 1.0  # in earlier runs
    spans: Spans = field(default_factory=Spans)
    running: dict[str, Running] = field(default_factory=dict)

    def expect(self, fingerprint: str, cost: Cost) -> None:
        if fingerprint not in self.expected:
            self.expected[fingerprint] = cost.seconds
            self.expected_open += cost.seconds
            self.at_once = cost.at_once

    def end(self, fingerprint: str, seconds: float | None) -> None:
        """A call is there; `seconds` is None where this run did not compute it."""
        self.open -= 1
        self.running.pop(fingerprint, None)
        expected = self.expected.pop(fingerprint, None)
        self.expected_open -= expected or 0.0
        if seconds is not None:
            self.computed += 1
            self.seconds += seconds
            self.expected_computed += expected or 0.0

    def left(self, now: float, workers: int, pace: float) -> float | None:
        """Seconds until no call is open; `pace` is seconds taken over seconds expected, in the whole run."""
        if not self.open:
            return 0.0
        mean = self._mean(now, pace)
        if mean is None:
            return None
        left = mean * self.open
        for running in self.running.values():
            own = running.left(now)
            if own is not None:
                left += own - mean
        seen = self.seconds / self.spans.seconds if self.spans.seconds > 0 else self.at_once
        return max(left, 0.0) / max(seen, min(workers, self.open), len(self.running), 1.0)

    def _mean(self, now: float, pace: float) -> float | None:
        if self.expected and self.expected_computed > 0:
            return self.expected_open / len(self.expected) * self.seconds / self.expected_computed
        if self.computed:
            return self.seconds / self.computed
        if self.expected:
            return self.expected_open / len(self.expected) * pace
        known = [whole for running in self.running.values() if (whole := running.whole(now)) is not None]
        return sum(known) / len(known) if known else None


def pace_of(stages: Mapping[str, StageTime]) -> float:
    """Seconds taken over seconds expected, of what was expected and is computed; 1 before anything is."""
    measured = [stage for stage in stages.values() if stage.expected_computed > 0]
    expected = sum(stage.expected_computed for stage in measured)
    return sum(stage.seconds for stage in measured) / expected if expected else 1.0
