"""Removing many files or folders of a root with few calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from latent_core.store.remote import explained, is_s3
from latent_core.store.root import Root

_IN_ONE_CALL = 512  # files; S3 allows 1,000
_FEW = 20  # folders that are removed one by one, with three calls each, rather than through a listing of everything


def remove_files(root: Root, keys: Sequence[str]) -> None:
    """Remove those of the files that exist; on S3 hundreds with one call."""
    together = [key for key in keys if is_s3(root.root) and not set("*?[") & set(key)]
    for start in range(0, len(together), _IN_ONE_CALL):
        with explained(root.root):
            root._fs.rm([root._path(key) for key in together[start : start + _IN_ONE_CALL]])
    for key in set(keys).difference(together):  # s3fs would take its name for a pattern
        with suppress(FileNotFoundError):
            root.remove(key)


def remove_trees(root: Root, keys: Sequence[str]) -> None:
    """Remove those of the files, and of the folders with everything below them, that exist."""
    if not is_s3(root.root) or len(keys) < _FEW:
        for key in keys:
            root.remove_tree(key)
        return
    folders = set(keys)
    remove_files(root, [key for key, _ in root.files() if folders.intersection(_above(key))])


def _above(key: str) -> Iterator[str]:
    """A key and the folders that it lies in."""
    while key:
        yield key
        key = key.rpartition("/")[0]
