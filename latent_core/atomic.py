"""Files and folders that appear whole or not at all: written under another name beside their own, then renamed.

Nothing is synced here: what must survive a power failure is synced by its writer before the block ends.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

_RANDOM_BYTES = 8
_END = ".partial"


@contextmanager
def scratch_file(target: Path) -> Iterator[Path]:
    """A name beside `target` that no other writer has; what is there when the block ends is removed.

    The folder must be there; the writer makes the file, with the permissions that files have here.
    """
    partial = _beside(target)
    try:
        yield partial
    finally:
        with suppress(OSError):  # what went wrong in the block says more
            partial.unlink()


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """A name to write a file under, which takes the place of `target` when the block ends well; else nothing is left.

    Readers see the old file or the new one; of several writers the last one's stays.
    """
    with scratch_file(target) as partial:
        yield partial
        partial.replace(target)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes `target` when the block ends well; else nothing is left.

    Of several writers the first one's stays, so they must all write the same. Parents are made.
    """
    partial = _beside(target)
    partial.mkdir(parents=True)
    try:
        yield partial
        try:
            partial.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def leftovers(target: Path) -> list[Path]:
    """What writers of `target` that were killed left beside it, and what those write that are alive."""
    return sorted(target.parent.glob(f".{escape(target.name)}.{'[0-9a-f]' * 2 * _RANDOM_BYTES}{_END}"))


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(_RANDOM_BYTES)}{_END}")
