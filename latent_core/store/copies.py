"""Local copies of directories of remote artifacts, for what must read files by path."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from latent_core.atomic import atomic_file
from latent_core.identity import hash_file
from latent_core.store.checks import CHECKED, local_state
from latent_core.store.manifest import DamagedError, Manifest, StoredFile
from latent_core.store.root import Root


def local_copy(root: Root, manifest: Manifest, files: Sequence[StoredFile]) -> Path:
    """The folder in the local cache that holds these files of an artifact, each downloaded once and checked.

    Raises DamagedError for a file whose bytes are not those that were written.
    """
    base = Path(os.environ.get("LATENT_CACHE", "~/.cache/latent")).expanduser()
    target = base / "artifacts" / manifest.ref.key / manifest.content.sha256[:16]
    for item in files:
        local = target / item.path
        if not _is_copy(local, item):
            local.parent.mkdir(parents=True, exist_ok=True)
            _fetch(root, manifest, item, local)
    return target


def _fetch(root: Root, manifest: Manifest, item: StoredFile, local: Path) -> None:
    with atomic_file(local) as partial:
        root.download(manifest.key(item.path), partial)
        if hash_file(partial) != item.sha256:
            raise DamagedError(f"{manifest.ref}: {item.path}: its bytes are not those that were written")


def _is_copy(local: Path, item: StoredFile) -> bool:
    """Whether a file was downloaded before, and is still what was downloaded."""
    if not local.exists() or local.stat().st_size != item.bytes:
        return False
    state = local_state(local)
    if not CHECKED.knows(str(local), state, item.sha256, item.bytes):
        if hash_file(local) != item.sha256:
            return False
        CHECKED.remember(str(local), state, item.sha256, item.bytes)
    return True
