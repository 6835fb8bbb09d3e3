"""Stages that a user wants computed again although the store has their results."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from latent_core.errors import InputError
from latent_core.store import ArtifactRef, ArtifactStore
from tasks.run.hits import Hits
from tasks.stage import StageCall


def check_force(names: Iterable[str], refs: Iterable[ArtifactRef]) -> None:
    """Raise InputError when `force` names a stage that this flow does not have."""
    known = {ref.stage for ref in refs}
    unknown = sorted(set(names) - known)
    if unknown:
        raise InputError(
            f"force: {unknown[0]!r} names a stage that this flow does not have; choose among {', '.join(sorted(known))}"
        )


class Force:
    """Sets each forced result aside once a run, when its turn comes, so that a run that ends early loses none."""

    def __init__(self, names: frozenset[str], store: ArtifactStore, hits: Hits) -> None:
        self.names = names
        self._store = store
        self._hits = hits
        self._taken: set[ArtifactRef] = set()
        self._lock = threading.Lock()

    def is_due(self, call: StageCall) -> bool:
        """Whether the call still has to be computed again in this run."""
        return call.stage.name in self.names and call.ref not in self._taken

    def take(self, call: StageCall) -> bool:
        """As `is_due`; if so, the stored result is set aside, and the call is due no more."""
        with self._lock:
            if not self.is_due(call):
                return False
            self._taken.add(call.ref)
        if self._store.get(call.ref.stage, call.ref.fingerprint) is not None:
            self._hits.set_aside(call.ref)
        return True
