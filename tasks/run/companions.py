"""Which calls of a run are computed together: what is missing of a group, dealt out to the workers.

The first task that comes for a part leads: its worker computes all of the part, and the tasks of the others wait for
it. A part is tried once. What is missing after that is computed call by call, so that a condition that kills its worker
cannot take the others along a second time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from latent_core.store import ArtifactRef
from tasks.stage import StageCall


@dataclass
class Part:
    """Calls for one worker; `over` is set when they were tried."""

    calls: list[StageCall]
    over: threading.Event = field(default_factory=threading.Event)
    _led: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lead(self) -> bool:
        """Whether the caller comes first, and has to try them."""
        with self._lock:
            first, self._led = not self._led, True
            return first

    def others(self, call: StageCall) -> list[StageCall]:
        return [other for other in self.calls if other.ref != call.ref]


class Group:
    """Calls that can share an engine's passes, in as many parts as there are workers, so that none of them idles."""

    def __init__(self, calls: Sequence[StageCall], workers: int) -> None:
        self._calls = calls
        self._workers = workers
        self._parts: dict[ArtifactRef, Part] = {}
        self._lock = threading.Lock()

    def part_of(self, call: StageCall, is_missing: Callable[[StageCall], bool]) -> Part | None:
        """The part of a call that is not in the store. What the group lacks is dealt out when the first call comes."""
        with self._lock:
            if not self._parts:
                lacking = [other for other in self._calls if other.ref == call.ref or is_missing(other)]
                # Dealt in turn, so that each worker gets long and short answers alike.
                for start in range(min(self._workers, len(lacking))):
                    part = Part(lacking[start :: self._workers])
                    self._parts |= {other.ref: part for other in part.calls}
            return self._parts.get(call.ref)

    def has_dealt(self, call: StageCall) -> bool:
        """Whether the call was missing, and so was computed in this run if its artifact is there now."""
        with self._lock:
            return call.ref in self._parts
