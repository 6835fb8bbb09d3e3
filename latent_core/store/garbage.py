"""What may be deleted from a store: files that no manifest owns, and artifacts that no kept one was made from."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from latent_core.errors import InputError
from latent_core.store.layout import MANIFEST, PROBE, ArtifactRef, manifest_address
from latent_core.store.manifest import DamagedError, Manifest

if TYPE_CHECKING:
    from latent_core.store.store import ArtifactStore

GRACE_SECONDS = 24 * 3600.0
"""Younger leftovers may belong to a running attempt."""


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

    @property
    def bytes(self) -> int:
        return self.unreachable_bytes + sum(item.bytes for item in self.leftovers)


def find_garbage(
    store: ArtifactStore, keep: Sequence[ArtifactRef] | None = None, *, grace: float = GRACE_SECONDS
) -> Garbage:
    """Look through the whole store, in one listing.

    With `keep`, artifacts that are neither kept nor, through parents and shards, behind a kept one are unreachable;
    without it only leftovers are garbage. Raises InputError when a kept artifact does not exist.
    """
    listed = dict(store.files())
    refs = [ref for ref in map(manifest_address, listed) if ref is not None]
    manifests = {ref: found for ref, found in store.manifests(refs) if isinstance(found, Manifest)}
    found = Garbage()
    owned = {f"{ref.key}/{manifest.record['attempt']}" for ref, manifest in manifests.items()}
    sizes: dict[str, int] = {}
    for leftover in _attempts(store, listed):
        sizes[leftover.folder] = leftover.bytes
        if leftover.folder not in owned:
            (found.leftovers if leftover.age >= grace else found.too_young).append(leftover)
    if keep is not None:
        reached = _reachable(manifests, keep)
        found.unreachable = [ref for ref in manifests if ref not in reached]
        found.unreachable_bytes = sum(
            sizes.get(f"{ref.key}/{manifests[ref].record['attempt']}", 0) for ref in found.unreachable
        )
    return found


def collect_garbage(store: ArtifactStore, garbage: Garbage) -> None:
    """Delete it. An artifact loses its manifest first, so that it stops existing before its files go."""
    for ref in garbage.unreachable:
        manifest = _manifest(store, ref)
        if manifest is not None:
            store.set_aside(ref)
            store.remove_attempt(ref, str(manifest.record["attempt"]))
    for leftover in garbage.leftovers:
        store.remove_tree(leftover.folder)


def _manifest(store: ArtifactStore, ref: ArtifactRef) -> Manifest | None:
    """The sealed manifest at `ref`; None for one that is gone or damaged, whose files are then leftovers."""
    try:
        return store.manifest(ref)
    except (DamagedError, FileNotFoundError):
        return None


def _reachable(manifests: dict[ArtifactRef, Manifest], keep: Sequence[ArtifactRef]) -> set[ArtifactRef]:
    by_fingerprint = {ref.fingerprint: ref for ref in manifests}
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
        # Parents that came from outside (models, benchmarks) have fingerprints too, but no artifact.
        waiting += [by_fingerprint[parent] for parent in content.parents.values() if parent in by_fingerprint]
    return reached


def _attempts(store: ArtifactStore, listed: Mapping[str, dict[str, Any]]) -> Iterator[Leftover]:
    """Everything beside the manifests, by attempt folder, whether owned or not, and probes of whether one may write."""
    now = time.time()
    folders: dict[str, list[tuple[int, float]]] = {}
    for key, info in listed.items():
        parts = key.split("/")
        if len(parts) >= 3 and parts[2] != MANIFEST:  # a lease that is held is young: it is renewed
            folders.setdefault("/".join(parts[:3]), []).append((int(info["size"]), _written(info)))
        elif key.startswith(PROBE):
            yield Leftover(key, 1, int(info["size"]), max(0.0, now - _written(info)))
    for folder, files in sorted(folders.items()):
        newest = max(written for _, written in files)
        yield Leftover(folder, len(files), sum(size for size, _ in files), max(0.0, now - newest))
    for key, written in store.empty_attempts():
        yield Leftover(key, 0, 0, max(0.0, now - written))


def _written(info: dict[str, Any]) -> float:
    """Modification time of a listed file in seconds: local listings call it `mtime`, S3 `LastModified`."""
    stamp = info.get("mtime", info.get("LastModified"))
    if isinstance(stamp, datetime):
        return stamp.timestamp()
    return float(stamp) if stamp is not None else time.time()
