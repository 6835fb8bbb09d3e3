"""Which stage calls may be tried now: inputs come before what is made of them, else calls go in the order of the flow.

Pure bookkeeping over addresses; it knows neither Prefect nor workers.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Sequence

from latent_core.store import ArtifactRef
from tasks.stage import StageCall


class Schedule:
    """Hands out `calls` as their inputs arrive. An input that is none of `calls` is there already.

    `done` are calls whose artifacts are in the store. A call that is given twice is tried once.
    """

    def __init__(self, calls: Sequence[StageCall], done: Collection[ArtifactRef] = ()) -> None:
        self._calls = {call.ref: call for call in calls}
        self._place = {ref: place for place, ref in enumerate(self._calls)}
        self._lacking: dict[ArtifactRef, int] = {}  # how many inputs a call still waits for
        self._children: defaultdict[ArtifactRef, list[ArtifactRef]] = defaultdict(list)
        self._ready: list[tuple[int, ArtifactRef]] = []
        there = set(done)
        for ref, call in self._calls.items():
            if ref in there:
                continue
            awaited = {parent for parent in stored_parents(call) if parent in self._calls and parent not in there}
            for parent in awaited:
                self._children[parent].append(ref)
            self._lacking[ref] = len(awaited)
            if not awaited:
                self._push(ref)

    def take(self) -> StageCall | None:
        """The next call whose inputs are all there; None when there is none now."""
        if not self._ready:
            return None
        _, ref = heapq.heappop(self._ready)
        return self._calls[ref]

    def succeed(self, ref: ArtifactRef) -> None:
        """The call's artifact is there: what waited for it alone may be tried."""
        for child in self._children.pop(ref, ()):
            self._lacking[child] -= 1
            if not self._lacking[child]:
                self._push(child)

    def fail(self, ref: ArtifactRef) -> None:
        """The call failed: what needs its artifact is never handed out."""
        self._children.pop(ref, None)

    def _push(self, ref: ArtifactRef) -> None:
        heapq.heappush(self._ready, (self._place[ref], ref))


def stored_parents(call: StageCall) -> list[ArtifactRef]:
    """The artifacts among a call's inputs, each once."""
    return list(dict.fromkeys(parent for parent in call.parents.values() if isinstance(parent, ArtifactRef)))
