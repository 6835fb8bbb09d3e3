"""Damaged inputs are recomputed before a stage uses them, with a warning.

Where one comes out different, what was made of the damaged one is recomputed too: a stage must not join the two.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress

from latent_core.store import ArtifactRef, ArtifactStore
from tasks.run.schedule import stored_parents
from tasks.stage import StageCall

logger = logging.getLogger("latent")


class InputRepair:
    """Hashes each stored input once a run; `compute` is how the run computes a call whose artifact is gone.

    `is_outdated` says of a call whether an input of its artifact came out different since.
    """

    def __init__(
        self,
        store: ArtifactStore,
        compute: Callable[[StageCall], object],
        set_aside: Callable[[ArtifactRef], object] | None = None,
        is_outdated: Callable[[StageCall], bool] = lambda call: False,
    ) -> None:
        self._store = store
        self._compute = compute
        self._set_aside = set_aside or store.set_aside
        self._is_outdated = is_outdated
        self._repairs = 0
        self._counting = threading.Lock()
        self._up_to_date: dict[ArtifactRef, int] = {}  # after so many repairs
        self._calls: dict[ArtifactRef, StageCall] = {}
        self._sound: set[ArtifactRef] = set()
        self._locks: defaultdict[ArtifactRef, threading.Lock] = defaultdict(threading.Lock)

    def learn(self, call: StageCall) -> None:
        """The run knows how to compute this call's artifact."""
        self._calls[call.ref] = call

    def trust(self, ref: ArtifactRef) -> None:
        """This run has just written the artifact itself."""
        self._sound.add(ref)

    def inputs_of(self, call: StageCall) -> None:
        """Make sure that every input of the call is what was written, or what computing it again gives.

        Raises DamagedError for a damaged input that no call of this run makes, such as a model of another run.
        """
        repairs = -1
        while repairs != self._repairs:  # what was looked at before the last one may be made of what it changed
            repairs = self._repairs
            for parent in stored_parents(call):
                self._ensure(parent)
                self._renew(parent)

    def _ensure(self, ref: ArtifactRef) -> None:
        with self._locks[ref]:  # inputs come before what is made of them, so no two threads wait for each other
            call = self._calls.get(ref)
            if ref in self._sound:
                return
            if call is None:
                with suppress(FileNotFoundError):  # what was never there, opening it says
                    self._store.require(ref).check()
                    self._sound.add(ref)
                return
            found = self._store.verify(ref)
            if not found.ok:
                logger.warning("%s is damaged and is computed again: %s", call.title, "; ".join(found.problems))
                self.inputs_of(call)
                if not self._store.verify(ref).ok:  # a merged artifact is whole again when its shards are
                    self._compute_again(call)
            self._sound.add(ref)

    def _renew(self, ref: ArtifactRef) -> None:
        call, repairs = self._calls.get(ref), self._repairs
        if call is None or not repairs:
            return
        with self._locks[ref]:
            if self._up_to_date.get(ref) == repairs:
                return
            for parent in stored_parents(call):
                self._renew(parent)
            if self._is_outdated(call):
                logger.warning("%s is computed again: what it was made from came out different this time", call.title)
                self.inputs_of(call)
                self._compute_again(call)
            self._up_to_date[ref] = repairs

    def _compute_again(self, call: StageCall) -> None:
        self._set_aside(call.ref)
        self._compute(call)
        with self._counting:
            self._repairs += 1
