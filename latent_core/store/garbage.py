"""What may be deleted from a store: files that no manifest owns, artifacts that no kept one was made from, old results
of tasks, and unfinished uploads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from latent_core.errors import InputError
from latent_core.store.layout import MANIFEST, ArtifactRef, manifest_address
from latent_core.store.leftovers import Leftover, attempts, results
from latent_core.store.manifest import Manifest
from latent_core.store.manifests import Manifests
from latent_core.store.removal import remove_files, remove_trees
from latent_core.store.uploads import Upload, abort_upload, unfinished_uploads

GRACE_SECONDS = 24 * 3600.0
"""Younger leftovers may belong to a running attempt."""
RESULTS_SECONDS = 30 * 24 * 3600.0
"""Younger results of tasks may belong to a run that goes on, or that somebody looks at."""


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
    store: Manifests, keep: Sequence[ArtifactRef] | None = None, *, grace: float = GRACE_SECONDS
) -> Garbage:
    """Look through the whole store, in one listing (and, on S3, one of unfinished uploads).

    With `keep`, artifacts that are neither kept nor, through parents and shards, behind a kept one are unreachable;
    without it only leftovers are garbage. Raises InputError when a kept artifact does not exist.
    """
    listed = dict(store.files())
    manifests = {ref: seen for ref, seen in store.committed(listed=listed) if isinstance(seen, Manifest)}
    found = Garbage(uploads=[upload for upload in unfinished_uploads(store) if upload.age >= grace])
    found.results = [item for item in results(listed) if item.age >= max(grace, RESULTS_SECONDS)]
    owned = {manifest.folder for manifest in manifests.values()}
    sizes: dict[str, int] = {}
    for leftover in attempts(store, listed):
        sizes[leftover.folder] = leftover.bytes
        if leftover.folder not in owned:
            (found.leftovers if leftover.age >= grace else found.too_young).append(leftover)
    if keep is not None:
        reached = reachable(manifests, keep)
        found.unreachable = [ref for ref in manifests if ref not in reached]
        found.attempts = {ref: str(manifests[ref].record["attempt"]) for ref in found.unreachable}
        found.unreachable_bytes = sum(sizes.get(manifests[ref].folder, 0) for ref in found.unreachable)
    return found


def collect_garbage(store: Manifests, garbage: Garbage) -> None:
    """Delete it. An artifact loses its manifest first, so that it stops existing before its files go.

    Manifests are read anew: what was committed, or computed again, since `find_garbage` looked stays.
    """
    now = {ref: seen for ref, seen in store.read_manifests(garbage.unreachable) if isinstance(seen, Manifest)}
    gone = [ref for ref, seen in now.items() if seen.record["attempt"] == garbage.attempts[ref]]
    remove_files(store, [f"{ref.key}/{MANIFEST}" for ref in gone])
    remove_trees(store, [f"{ref.key}/{garbage.attempts[ref]}" for ref in gone])
    remove_files(store, [result.folder for result in garbage.results])
    for upload in garbage.uploads:
        abort_upload(store, upload)
    beside = {ref for ref in map(_artifact_beside, garbage.leftovers) if ref is not None}
    owned = {seen.folder for _, seen in store.read_manifests(beside) if isinstance(seen, Manifest)}
    remove_trees(store, [leftover.folder for leftover in garbage.leftovers if leftover.folder not in owned])


def _artifact_beside(leftover: Leftover) -> ArtifactRef | None:
    """The artifact in whose folder a leftover lies, whether it exists or not."""
    folder, _, name = leftover.folder.rpartition("/")
    return manifest_address(f"{folder}/{MANIFEST}") if name else None


def reachable(manifests: dict[ArtifactRef, Manifest], keep: Sequence[ArtifactRef]) -> set[ArtifactRef]:
    """These and all that they were made from. Raises InputError where one of `keep` is not among the manifests."""
    reached: set[ArtifactRef] = set()
    waiting = list(keep)
    for ref in keep:
        if ref not in manifests:
            raise InputError(f"keep: {ref} is not in the store, so neither it nor its inputs can be kept")
    while waiting:
        ref = waiting.pop()
        if ref in reached or ref not in manifests:
            continue
        reached.add(ref)
        content = manifests[ref].content
        waiting += [entry.ref for entry in content.shards]
        waiting += [parent.ref for parent in content.parents.values() if parent.ref is not None]
    return reached
