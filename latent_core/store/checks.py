"""Which stored files were read and found as written: once in a process for each state of a file, never for another.

A file's state is what its filesystem says of it: on a disk its inode, its size and the times of its last write and last
change, the second of which no program can set back; in S3 its ETag. What changes bytes below the filesystem (a disk
that rots) changes no state: within a process a file is then trusted as it was when it was read, and the next process
reads it again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SETTLED_NS = 2_000_000_000  # a file that changed later than this before it was read may change again at the same tick


class CheckedFiles:
    """The states in which files had the hash that was expected, by path. Usable from many threads."""

    def __init__(self) -> None:
        self._sound: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()

    def knows(self, path: str, state: str | None, sha256: str) -> bool:
        """Whether the file was read in this very state and had this hash."""
        with self._lock:
            return state is not None and self._sound.get(path) == (state, sha256)

    def remember(self, path: str, state: str | None, sha256: str) -> None:
        """The file had this hash when it was read after its state was asked for."""
        if state is not None:
            with self._lock:
                self._sound[path] = (state, sha256)


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
