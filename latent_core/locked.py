"""One process at a time: what the programs of one machine must not do at once."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for the lock of this file, and hold it while the block runs. The file is made, and stays.

    The kernel releases it when its holder dies. Raises OSError where the file cannot be written.
    """
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
