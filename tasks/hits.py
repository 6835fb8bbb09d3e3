"""What of a run's calls the store has: whole, as it was written where others than stages read it, and not outdated."""

from __future__ import annotations

import logging
import threading

from latent_core.store import Artifact, ArtifactRef, ArtifactStore, DamagedError
from tasks.stage import StageCall

logger = logging.getLogger("latent")


class Hits:
    """Looks results up for one run, and remembers what the run made of those it could not use."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self._before: dict[ArtifactRef, str] = {}  # the content of what was set aside
        self._renewed: set[ArtifactRef] = set()
        self._lock = threading.Lock()

    def find(self, call: StageCall) -> Artifact | None:
        """The call's result if it can be used as it is.

        What people or a registry read (`Stage.is_shown`) is hashed. A result is outdated when this run computed one of
        its inputs again and that came out different.
        """
        artifact = self._store.get(call.ref.stage, call.ref.fingerprint)
        if artifact is None or self._is_outdated(call):
            return None
        return None if self._problems(call, artifact) else artifact

    def clear(self, call: StageCall) -> None:
        """Make a result that cannot be used not exist, saying why; nothing happens where there is none."""
        damage = self._store.damage(call.ref)
        artifact = None if damage else self._store.get(call.ref.stage, call.ref.fingerprint)
        if artifact is not None:
            damage = "; ".join(self._problems(call, artifact))
        if damage:
            logger.warning("%s is damaged and is computed again: %s", call.title, damage)
        elif artifact is not None and self._is_outdated(call):
            logger.warning("%s is computed again: what it was made from came out different this time", call.title)
        else:
            return
        self.set_aside(call.ref)

    def set_aside(self, ref: ArtifactRef) -> None:
        """Make an artifact not exist, remembering what it held."""
        try:
            content = self._store.manifest(ref).content.sha256
        except (DamagedError, FileNotFoundError):
            content = None  # nothing tells what it held, so what was made of it stays
        with self._lock:
            if content is not None:
                self._before.setdefault(ref, content)
        self._store.set_aside(ref)

    def renewed(self, ref: ArtifactRef) -> None:
        """This run has computed the artifact, from its inputs as they are now."""
        with self._lock:
            self._renewed.add(ref)

    def _problems(self, call: StageCall, artifact: Artifact) -> list[str]:
        return artifact.problems() if call.stage.is_shown else []

    def _is_outdated(self, call: StageCall) -> bool:
        if call.ref in self._renewed:
            return False
        for parent in call.parents.values():
            before = self._before.get(parent) if isinstance(parent, ArtifactRef) else None
            if before is None or not isinstance(parent, ArtifactRef):
                continue
            now = self._store.get(parent.stage, parent.fingerprint)
            if now is not None and now.manifest.content.sha256 != before:
                return True
        return False
