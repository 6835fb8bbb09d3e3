"""Which stored files were read and found as written: once for each state of a file, never for another.

A file's state is what its filesystem says of it: on a disk its inode, its size and the times of its last write and last
change, the second of which no program can set back; in S3 its ETag. What changes bytes below the filesystem (a disk
that rots) changes no state: such a file passes until it is read anew, by the next process, or, where it is so large
that processes pass on what they found, by `latent artifacts verify`.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

logger = logging.getLogger("latent")
LARGE = 64 << 20  # bytes; a smaller file is read in less time than it is worth to trust an earlier process
_SETTLED_NS = 2_000_000_000  # a file that changed later than this before it was read may change again at the same tick
_WAIT_SECONDS = 2.0  # for another process's write


class CheckedFiles:
    """The states in which files had the hash that was expected, by path. Usable from many threads.

    Large files' states are kept in the cache too; one that cannot be used is empty, and the log says why, once.
    """

    def __init__(self) -> None:
        self._sound: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()
        self._off = False

    def knows(self, path: str, state: str | None, sha256: str, size: int) -> bool:
        """Whether the file was read in this very state and had this hash."""
        if state is None:
            return False
        with self._lock:
            if self._sound.get(path) == (state, sha256):
                return True
            return size >= LARGE and self._recall(path) == (state, sha256)

    def remember(self, path: str, state: str | None, sha256: str, size: int) -> None:
        """The file had this hash when it was read after its state was asked for."""
        if state is None:
            return
        with self._lock:
            self._sound[path] = (state, sha256)
            if size >= LARGE:
                self._learn(path, state, sha256)

    def _recall(self, path: str) -> tuple[str, str] | None:
        if self._off or not _cache().exists():
            return None
        try:
            with closing(_open()) as database:
                wanted = "SELECT state, sha256 FROM checked WHERE path = ?"
                found: tuple[str, str] | None = database.execute(wanted, (path,)).fetchone()
                return found
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)
            return None

    def _learn(self, path: str, state: str, sha256: str) -> None:
        if self._off:
            return
        try:
            _cache().parent.mkdir(parents=True, exist_ok=True)
            with closing(_open()) as database, database:
                database.execute("INSERT OR REPLACE INTO checked VALUES (?, ?, ?)", (path, state, sha256))
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._off = True
        logger.warning("large files are hashed by each process: their cache %s cannot be used (%s)", _cache(), error)


def _cache() -> Path:
    return Path(os.environ.get("LATENT_CACHE", "~/.cache/latent")).expanduser() / "checked.sqlite"


def _open() -> sqlite3.Connection:
    database = sqlite3.connect(_cache(), timeout=_WAIT_SECONDS)
    database.execute("CREATE TABLE IF NOT EXISTS checked (path TEXT PRIMARY KEY, state TEXT, sha256 TEXT)")
    return database


CHECKED = CheckedFiles()  # of this process, whichever stores it opens


def local_state(path: Path) -> str | None:
    """The state of a file on disk; None while it is so young that a change need not show. Raises OSError."""
    found = path.stat()
    if time.time_ns() - found.st_ctime_ns < _SETTLED_NS:
        return None
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def remote_state(listed: Mapping[str, Any]) -> str | None:
    """The state of a file as a filesystem describes it; None where that tells no change."""
    tag = listed.get("ETag")
    return None if not tag else f"{listed.get('size')} {tag}"
