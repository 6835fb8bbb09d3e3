"""Whether a stored file still has the size and the bytes that its manifest gives."""

from __future__ import annotations

import hashlib

from latent_core.store.checks import CHECKED
from latent_core.store.manifest import StoredFile
from latent_core.store.root import COPY_BYTES, NO_FILE, Root


def size_problem(root: Root, key: str, item: StoredFile) -> str | None:
    """Why a file is missing or has another size; None when it has the size that its manifest gives."""
    try:
        size = root.size(key)
    except OSError as error:
        return missing(item.path, error)
    return None if size == item.bytes else f"{item.path} has {size} bytes, its manifest says {item.bytes}"


def problem(root: Root, key: str, item: StoredFile) -> str | None:
    """Why a file is not what was written; None when it is. It is read once for each state it is in."""
    try:
        state = root.state(key)
    except OSError as error:
        return missing(item.path, error)
    path = f"{root.root}/{key}"
    if CHECKED.knows(path, state, item.sha256, item.bytes):
        return None
    found = hash_problem(root, key, item)
    if found is None:
        CHECKED.remember(path, state, item.sha256, item.bytes)
    return found


def hash_problem(root: Root, key: str, item: StoredFile) -> str | None:
    """As `problem`, whether the file was read before or not."""
    digest = hashlib.sha256()
    try:
        with root.open_for_reading(key) as handle:
            while chunk := handle.read(COPY_BYTES):
                digest.update(chunk)
    except OSError as error:
        return missing(item.path, error)
    return None if digest.hexdigest() == item.sha256 else f"{item.path}: its bytes are not those that were written"


def missing(path: str, error: OSError) -> str:
    """How an error says that there is no file to read; any other error is raised as it is."""
    if isinstance(error, FileNotFoundError):
        return f"{path}: missing"
    if error.errno not in NO_FILE:
        raise error
    return f"{path}: is no longer a file ({error.strerror})"
