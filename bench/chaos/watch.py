"""What can be seen of a run from outside: what its workers say they do, and which manifests stand in the store."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from latent_core.store.layout import MANIFEST

_LINE = re.compile(r"^(\S+) (\d+) .*: (started|done) ([a-z0-9_]+/[0-9a-f]{64})$")


@dataclass(frozen=True)
class Event:
    """A worker's word on a call: `time` in seconds since the epoch, `key` is the artifact's address."""

    time: float
    pid: int
    is_start: bool
    key: str

    @property
    def stage(self) -> str:
        return self.key.split("/")[0]


class WorkerLogs:
    """New events of the workers whose logs match `pattern`, each told once."""

    def __init__(self, folder: Path, pattern: str = "*.log") -> None:
        self._folder = folder
        self._pattern = pattern
        self._read: dict[Path, int] = defaultdict(int)

    def new_events(self) -> Iterator[Event]:
        for path in sorted(self._folder.glob(self._pattern)):
            if path.stat().st_size == self._read[path]:
                continue
            with path.open("rb") as handle:
                handle.seek(self._read[path])
                fresh = handle.read()
            whole = fresh[: fresh.rfind(b"\n") + 1]  # the rest of a line comes next time
            self._read[path] += len(whole)
            for line in whole.decode(errors="replace").splitlines():
                found = _LINE.match(line)
                if found is not None:
                    stamp, pid, word, key = found.groups()
                    yield Event(datetime.fromisoformat(stamp).timestamp(), int(pid), word == "started", key)


class CommitWatch:
    """Every manifest that ever stood in a store, by artifact: more than one for an artifact means two commits."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._seen: dict[str, tuple[int, int]] = {}
        self.attempts: dict[str, list[str]] = defaultdict(list)
        self.committed_at: dict[str, float] = {}

    def look(self) -> None:
        for path in self._store.glob(f"*/*/{MANIFEST}"):
            try:
                status = path.stat()
                key = f"{path.parts[-3]}/{path.parts[-2]}"
                if self._seen.get(key) == (status.st_ino, status.st_mtime_ns):
                    continue
                attempt = json.loads(path.read_bytes())["record"]["attempt"]
            except FileNotFoundError:  # set aside just now
                continue
            self._seen[key] = (status.st_ino, status.st_mtime_ns)
            if not self.attempts[key] or self.attempts[key][-1] != attempt:
                self.attempts[key].append(attempt)
            self.committed_at[key] = status.st_ctime
