"""Small files on a local disk, which readers see whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from latent_core.atomic import atomic_file, scratch_file
from latent_core.errors import InputError


def create(path: Path, content: bytes) -> bool:
    """Write a file that does not exist yet; False when it exists. It is written aside, synced, then linked."""
    with scratch_file(path) as aside:
        _write_synced(aside, content)
        try:
            os.link(aside, path)  # atomic, and refuses to replace
        except FileExistsError:
            return False
    return True


def replace(path: Path, content: bytes) -> None:
    """Write a file whether it exists or not; readers see the old or the new one."""
    with atomic_file(path) as aside:
        _write_synced(aside, content)


def check_folder(root: Path) -> None:
    """Raise InputError when the root or one of its parents is a file; the root itself need not exist."""
    there = next(path for path in (root, *root.parents) if path.exists())
    if not there.is_dir():
        raise InputError(f"store: {there} is a file; name a folder, or s3://bucket/prefix")


def _write_synced(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
