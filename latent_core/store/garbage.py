"""What may be deleted from a store: files that no manifest owns, artifacts that no kept one was made from, and what
tasks returned long ago.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from latent_core.errors import InputError
from latent_core.store.layout import MANIFEST, PROBE, RESULTS, ArtifactRef, manifest_address
from latent_core.store.manifest import Manifest
from latent_core.store.uploads import Upload, abort_upload, unfinished_uploads

if TYPE_CHECKING:
    from latent_core.store.store import ArtifactStore

GRACE_SECONDS = 24 * 3600.0
"""Younger leftovers may belong to a running attempt."""
RESULTS_SECONDS = 30 * 24 * 3600.0
"""Younger results of tasks may belong to a run that goes on, or that somebody looks at."""


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


@dataclass
class Garbage:
    """What `collect_garbage` would delete, and what it leaves alone for now."""

    leftovers: list[Leftover] = field(default_factory=list)
    unreachable: list[ArtifactRef] = field(default_factory=list)
    unreachable_bytes: int = 0
    too_young: list[Leftover] = field(default_factory=list)
    results: list[Leftover] = field(default_factory=list)  # what tasks returned more than 30 days ago
    uploads: list[Upload] = field(default_factory=list)  # begun before the grace, and never finished
    attempts: dict[ArtifactRef, str] = field(default_factory=dict)  # of the unreachable artifacts

    @property
    def bytes(self) -> int:
        return self.unreachable_bytes + sum(item.bytes for item in (*self.leftovers, *self.results))


def find_garbage(
    store: ArtifactStore, keep: Sequence[ArtifactRef] | None = None, *, grace: float = GRACE_SECONDS
) -> Garbage:
    """Look through the whole store, in one listing (and, on S3, one of unfinished uploads).

    With `keep`, artifacts that are neither kept nor, through parents and shards, behind a kept one are unreachable;
    without it only leftovers are garbage. Raises InputError when a kept artifact does not exist.
    """
    listed = dict(store.files())
    manifests = {ref: seen for ref, seen in store.committed(listed=listed) if isinstance(seen, Manifest)}
    found = Garbage(uploads=[upload for upload in unfinished_uploads(store) if upload.age >= grace])
    found.results = [item for item in _results(listed) if item.age >= max(grace, RESULTS_SECONDS)]
    owned = {_folder(ref, manifest) for ref, manifest in manifests.items()}
    sizes: dict[str, int] = {}
    for leftover in _attempts(store, listed):
        sizes[leftover.folder] = leftover.bytes
        if leftover.folder not in owned:
            (found.leftovers if leftover.age >= grace else found.too_young).append(leftover)
    if keep is not None:
        reached = _reachable(manifests, keep)
        found.unreachable = [ref for ref in manifests if ref not in reached]
        found.attempts = {ref: str(manifests[ref].record["attempt"]) for ref in found.unreachable}
        found.unreachable_bytes = sum(sizes.get(_folder(ref, manifests[ref]), 0) for ref in found.unreachable)
    return found


def collect_garbage(store: ArtifactStore, garbage: Garbage) -> None:
    """Delete it. An artifact loses its manifest first, so that it stops existing before its files go.

    Manifests are read anew: what was committed, or computed again, since `find_garbage` looked stays.
    """
    now = {ref: seen for ref, seen in store.read_manifests(garbage.unreachable) if isinstance(seen, Manifest)}
    gone = [ref for ref, seen in now.items() if seen.record["attempt"] == garbage.attempts[ref]]
    store.remove_many([f"{ref.key}/{MANIFEST}" for ref in gone])
    store.remove_trees([f"{ref.key}/{garbage.attempts[ref]}" for ref in gone])
    store.remove_many([result.folder for result in garbage.results])
    for upload in garbage.uploads:
        abort_upload(store, upload)
    beside = {ref for ref in map(_artifact_beside, garbage.leftovers) if ref is not None}
    owned = {_folder(ref, seen) for ref, seen in store.read_manifests(beside) if isinstance(seen, Manifest)}
    store.remove_trees([leftover.folder for leftover in garbage.leftovers if leftover.folder not in owned])


def _folder(ref: ArtifactRef, manifest: Manifest) -> str:
    return f"{ref.key}/{manifest.record['attempt']}"


def _artifact_beside(leftover: Leftover) -> ArtifactRef | None:
    """The artifact in whose folder a leftover lies, whether it exists or not."""
    folder, _, name = leftover.folder.rpartition("/")
    return manifest_address(f"{folder}/{MANIFEST}") if name else None


def _reachable(manifests: dict[ArtifactRef, Manifest], keep: Sequence[ArtifactRef]) -> set[ArtifactRef]:
    reached: set[ArtifactRef] = set()
    waiting = list(keep)
    for ref in keep:
        if ref not in manifests:
            raise InputError(f"keep: {ref} is not in the store, so nothing can be kept for its sake")
    while waiting:
        ref = waiting.pop()
        if ref in reached or ref not in manifests:
            continue
        reached.add(ref)
        content = manifests[ref].content
        waiting += [entry.ref for entry in content.shards]
        waiting += [parent.ref for parent in content.parents.values() if parent.ref is not None]
    return reached


def _attempts(store: ArtifactStore, listed: Mapping[str, dict[str, Any]]) -> Iterator[Leftover]:
    """Everything beside the manifests, by attempt folder, whether owned or not, and probes of whether one may write."""
    now = time.time()
    folders: dict[str, list[tuple[int, float]]] = {}
    for key, info in listed.items():
        parts = key.split("/")
        if key.startswith(".") and not key.startswith(PROBE):
            continue  # journals of runs, results of tasks: no artifacts, and nobody's leftovers
        if len(parts) >= 3 and parts[2] != MANIFEST:  # a lease that is held is young: it is renewed
            folders.setdefault("/".join(parts[:3]), []).append((int(info["size"]), _written(info)))
        elif key.startswith(PROBE):
            yield Leftover(key, 1, int(info["size"]), max(0.0, now - _written(info)))
    for folder, files in sorted(folders.items()):
        newest = max(written for _, written in files)
        yield Leftover(folder, len(files), sum(size for size, _ in files), max(0.0, now - newest))
    for key, written in store.empty_attempts():
        yield Leftover(key, 0, 0, max(0.0, now - written))


def _results(listed: Mapping[str, dict[str, Any]]) -> Iterator[Leftover]:
    now = time.time()
    for key, info in listed.items():
        if key.startswith(f"{RESULTS}/"):
            yield Leftover(key, 1, int(info["size"]), max(0.0, now - _written(info)))


def _written(info: dict[str, Any]) -> float:
    """Modification time of a listed file in seconds: local listings call it `mtime`, S3 `LastModified`."""
    stamp = info.get("mtime", info.get("LastModified"))
    if isinstance(stamp, datetime):
        return stamp.timestamp()
    return float(stamp) if stamp is not None else time.time()
