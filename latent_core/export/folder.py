"""A new folder that appears whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latent_core.errors import InputError


def check_new(target: Path, field: str = "DIR") -> None:
    """Raise InputError, which names the argument, unless `target` is absent or an empty folder."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{field}: {target} is not empty; remove it or name another")


@contextmanager
def new_folder(target: Path, field: str = "DIR") -> Iterator[Path]:
    """A folder to fill, which becomes `target` when the block ends well; else nothing is left of it.

    An empty folder that is there stays the same one, since it may be a mounted volume, a link, or where the user is.
    Raises InputError as `check_new` does, and where the folder cannot be made.
    """
    check_new(target, field)
    target = target.resolve()
    is_there = target.exists()
    partial = (target if is_there else target.parent) / f".{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{field}: {target} cannot be written ({error}); name another folder") from error
    try:
        yield partial
        if is_there:
            for path in partial.iterdir():
                path.replace(target / path.name)
        else:
            partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
