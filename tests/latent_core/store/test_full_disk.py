"""No space left: one clear error, no manifest, nothing left behind, and the same work succeeds when there is room."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from safetensors.numpy import save_file

from latent_core.errors import InfrastructureError
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, begin
from latent_core.store.space import FullError, is_full

ADDRESS = "a" * 64
SCHEMA = pa.schema([("bytes", pa.binary())])
ROOM, TOO_MUCH = 1 << 20, 3 << 20  # bytes


@contextmanager
def _files_limited_to(size: int) -> Iterator[None]:
    """No file of this process may be longer: what a quota does, for a user without rights."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _write(store: ArtifactStore, way: str) -> Artifact:
    with begin(store, ArtifactRef("words", ADDRESS)) as out:
        if way == "file":
            with out.open("data") as handle:
                handle.write(os.urandom(TOO_MUCH))
        elif way == "table":
            with out.table("data.parquet", SCHEMA) as table:
                table.extend({"bytes": os.urandom(1 << 10)} for _ in range(TOO_MUCH >> 10))
        else:
            import numpy as np

            with out.directory("model") as folder:
                save_file({"weight": np.zeros(TOO_MUCH, dtype=np.uint8)}, folder / "model.safetensors")
        return out.commit()


@pytest.mark.parametrize("way", ["file", "table", "model"])
def test_writing_beyond_a_quota_is_one_clear_error_and_resumes_with_more_room(tmp_path: Path, way: str) -> None:
    store = ArtifactStore(tmp_path)
    with _files_limited_to(ROOM), pytest.raises(FullError) as raised:
        _write(store, way)
    message = str(raised.value)
    assert message.startswith("store: no space left for words/aaaaaaaaaaaa in ") and "\n" not in message
    assert store.get("words", ADDRESS) is None and list(store.files()) == []
    assert store.verify(_write(store, way).ref).ok


def test_manifest_that_finds_no_room_leaves_no_artifact(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    with pytest.raises(FullError), begin(store, ArtifactRef("words", ADDRESS)) as out:
        with out.open("data") as handle:
            handle.write(b"1")
        with _files_limited_to(100):
            out.commit()
    assert list(store.files()) == []


def test_error_about_something_else_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    assert is_full(OSError(28, "in whatever language"))
    assert is_full(RuntimeError("I/O error: No space left on device (os error 28)"))
    assert not is_full(PermissionError(13, "Permission denied")) and not is_full(None)
    with pytest.raises(ZeroDivisionError), begin(ArtifactStore(tmp_path), ArtifactRef("words", ADDRESS)):
        _ = 1 / 0


@pytest.mark.slow
def test_full_filesystem_is_one_clear_error_and_resumes_when_there_is_room(tmp_path: Path) -> None:
    """A small tmpfs in a namespace of its own, where this user may make one."""
    script = Path(__file__).parents[2] / "support" / "full_tmpfs.py"
    command = ["unshare", "--user", "--map-root-user", "--mount", "--", sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["resumed"], done.stdout + done.stderr


def test_full_disk_is_worth_a_retry() -> None:
    assert issubclass(FullError, InfrastructureError)
