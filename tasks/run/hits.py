"""What of a run's calls the store has: whole, as it was written where others than stages read it, and not outdated."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from latent_core.store import Artifact, ArtifactRef, ArtifactStore, DamagedError
from tasks.run.schedule import stored_parents
from tasks.stage import StageCall

logger = logging.getLogger("latent")


class Hits:
    """Looks results up for one run, and remembers what the run made of those it could not use."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self._before: dict[ArtifactRef, str] = {}  # the content of what was set aside
        self._made_from: dict[ArtifactRef, Mapping[ArtifactRef, str]] = {}  # of what this run computed
        self._lock = threading.Lock()

    def find(self, call: StageCall, whole: dict[ArtifactRef, str] | None = None) -> Artifact | None:
        """The call's result if it can be used as it is.

        What people or a registry read (`Stage.is_shown`) is hashed. A result is outdated when this run computed one of
        its inputs again and that came out different. `whole` holds content hashes of what was found a moment ago, to
        which this one is added: no shard is looked at again for the artifact that it was merged into.
        """
        artifact = self._store.get(call.ref.stage, call.ref.fingerprint, whole or {})
        if artifact is None or self.is_outdated(call):
            return None
        if self._problems(call, artifact):
            return None
        if whole is not None:
            whole[call.ref] = artifact.manifest.content.sha256
        return artifact

    def clear(self, call: StageCall) -> None:
        """Make a result that cannot be used not exist, saying why; nothing happens where there is none."""
        damage = self._store.damage(call.ref)
        artifact = None if damage else self._store.get(call.ref.stage, call.ref.fingerprint)
        if artifact is not None:
            damage = "; ".join(self._problems(call, artifact))
        if damage:
            logger.warning("%s is damaged and is computed again: %s", call.title, damage)
        elif artifact is not None and self.is_outdated(call):
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

    def renewable(self, call: StageCall) -> dict[ArtifactRef, str]:
        """The content of those inputs of a call that were set aside, as they are now, for `renewed`."""
        found = {}
        for parent in stored_parents(call) if self._before else ():
            if parent in self._before and (content := self._content(parent)) is not None:
                found[parent] = content
        return found

    def renewed(self, call: StageCall, made_from: Mapping[ArtifactRef, str]) -> None:
        """This run has computed the call's artifact, from its inputs as `renewable` found them before."""
        with self._lock:
            self._made_from[call.ref] = made_from

    def is_outdated(self, call: StageCall) -> bool:
        """Whether an input was computed again since the call's artifact was made of it, and came out different."""
        if not self._before:
            return False
        made_from = self._made_from.get(call.ref, {})
        for parent in stored_parents(call):
            before = made_from.get(parent, self._before.get(parent))
            if before is not None and self._content(parent) not in (None, before):
                return True
        return False

    def _content(self, ref: ArtifactRef) -> str | None:
        artifact = self._store.get(ref.stage, ref.fingerprint)
        return None if artifact is None else artifact.manifest.content.sha256

    def _problems(self, call: StageCall, artifact: Artifact) -> list[str]:
        return artifact.problems() if call.stage.is_shown else []
