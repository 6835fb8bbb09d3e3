"""Files of a store that no manifest owns, and old results of tasks: what one listing of all files shows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from latent_core.store.layout import MANIFEST, PROBE, RESULTS
from latent_core.store.root import Root, written_at


@dataclass(frozen=True)
class Leftover:
    """What no manifest owns: an attempt's files or empty folders (a killed writer's, a lost race's, or those of a
    set-aside artifact), a single file that a writer killed at its commit left, or an old lease.

    `folder` is the key of either, `age` in seconds since the newest of its files was written.
    """

    folder: str
    files: int
    bytes: int
    age: float


def attempts(root: Root, listed: Mapping[str, dict[str, Any]]) -> Iterator[Leftover]:
    """Everything beside the manifests, by attempt folder, whether owned or not, and probes of whether one may write."""
    now = time.time()
    folders: dict[str, list[tuple[int, float]]] = {}
    for key, info in listed.items():
        parts = key.split("/")
        if key.startswith(".") and not key.startswith(PROBE):
            continue  # journals of runs, results of tasks: no artifacts, and nobody's leftovers
        if len(parts) >= 3 and parts[2] != MANIFEST:  # a lease that is held is young: it is renewed
            folders.setdefault("/".join(parts[:3]), []).append((int(info["size"]), written_at(info)))
        elif key.startswith(PROBE):
            yield Leftover(key, 1, int(info["size"]), max(0.0, now - written_at(info)))
    for folder, files in sorted(folders.items()):
        newest = max(written for _, written in files)
        yield Leftover(folder, len(files), sum(size for size, _ in files), max(0.0, now - newest))
    for key, written in _empty_attempts(root):
        yield Leftover(key, 0, 0, max(0.0, now - written))


def results(listed: Mapping[str, dict[str, Any]]) -> Iterator[Leftover]:
    now = time.time()
    for key, info in listed.items():
        if key.startswith(f"{RESULTS}/"):
            yield Leftover(key, 1, int(info["size"]), max(0.0, now - written_at(info)))


def _empty_attempts(root: Root) -> Iterator[tuple[str, float]]:
    """Attempt folders without a single file, and when they were made; object stores have no empty folders."""
    base = root.local_root()
    if base is None:
        return
    for folder in sorted(base.glob("[a-z]*/*/*/")):
        with suppress(FileNotFoundError):  # its writer may just be leaving
            if not any(path.is_file() for path in folder.rglob("*")):
                yield folder.relative_to(base).as_posix(), folder.stat().st_mtime
