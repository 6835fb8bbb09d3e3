"""Manifests of a remote store that this machine has read before, so that listing many artifacts reads only new ones.

A cache, and nothing that anybody trusts: what is remembered counts only while the store's own listing still shows the
same ETag, and its seal is checked like that of any manifest. The file may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from latent_core.store.layout import ArtifactRef

logger = logging.getLogger("latent")
_WAIT_SECONDS = 2.0  # for another process's write: reading from the store again costs less than waiting longer
_FEW = 100  # manifests that are read quicker than a file is kept for them


class KnownManifests:
    """The manifests of one root by address and ETag. A cache that cannot be used is empty and logs why, once."""

    def __init__(self, root: str) -> None:
        folder = Path(os.environ.get("LATENT_CACHE", "~/.cache/latent")).expanduser() / "manifests"
        self._path = folder / f"{hashlib.sha256(root.encode()).hexdigest()[:16]}.sqlite"
        self._off = False

    def recall(self, tags: Mapping[ArtifactRef, str]) -> list[tuple[ArtifactRef, bytes]]:
        """The bytes of those manifests whose ETag is still the one they were read with."""
        if self._off or not self._path.exists():
            return []
        try:
            with closing(self._open()) as database:
                wanted = "SELECT raw FROM manifests WHERE key = ? AND tag = ?"
                return [(ref, raw) for ref, tag in tags.items() for (raw,) in database.execute(wanted, (ref.key, tag))]
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)
            return []

    def learn(self, read: Iterable[tuple[ArtifactRef, str, bytes]]) -> None:
        """Remember manifests, with their ETags, that were just read."""
        rows = [(ref.key, tag, raw) for ref, tag, raw in read]
        if self._off or (len(rows) < _FEW and not self._path.exists()):
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._open()) as database, database:
                database.executemany("INSERT OR REPLACE INTO manifests VALUES (?, ?, ?)", rows)
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def keep_only(self, refs: Iterable[ArtifactRef]) -> None:
        """Forget what the store no longer has."""
        if self._off or not self._path.exists():
            return
        try:
            with closing(self._open()) as database, database:
                gone = {key for (key,) in database.execute("SELECT key FROM manifests")}.difference(
                    ref.key for ref in refs
                )
                database.executemany("DELETE FROM manifests WHERE key = ?", [(key,) for key in gone])
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=_WAIT_SECONDS)
        database.execute("CREATE TABLE IF NOT EXISTS manifests (key TEXT PRIMARY KEY, tag TEXT, raw BLOB)")
        return database

    def _give_up(self, error: Exception) -> None:
        self._off = True
        logger.warning("manifests are read from the store: their cache %s cannot be used (%s)", self._path, error)
