"""Run in a mount namespace of its own: fill a small tmpfs, fail clearly, make room, resume."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from latent_core.store import ArtifactRef, ArtifactStore, begin
from latent_core.store.space import FullError

folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=True)
ballast = folder / "ballast"
ballast.write_bytes(bytes(1 << 20))
store = ArtifactStore(folder / "store")


def work() -> None:
    with begin(store, ArtifactRef("words", "a" * 64)) as out:
        with out.open("data") as handle:
            handle.write(bytes(3 << 19))
        out.commit()


try:
    work()
except FullError as error:
    print(error)
    assert list(store.files()) == [], list(store.files())
    ballast.unlink()
    work()
    assert store.verify(next(iter(store.list()))).ok
    print("resumed")
