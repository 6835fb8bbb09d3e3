"""Files below one root on any fsspec filesystem: streaming in and out, and creation that never replaces.

Nothing here knows what an artifact is.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from latent_core.errors import InfrastructureError, InputError, LatentError
from latent_core.store import local
from latent_core.store.checks import local_state, remote_state
from latent_core.store.layout import PROBE, check_relative
from latent_core.store.remote import (
    UnreachableError,
    UnsupportedError,
    explain,
    explained,
    is_s3,
    open_filesystem,
)

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

logger = logging.getLogger("latent")
_READ_AHEAD = 512  # small files that are read together
COPY_BYTES = 1 << 20  # of a file that is read or copied piece by piece
NO_FILE = frozenset((errno.EISDIR, errno.ENOTDIR, errno.ELOOP))  # something else lies where a file was


class Root:
    """A local path or an fsspec URL such as `s3://bucket/prefix`; files have relative keys with `/` between parts."""

    def __init__(self, root: str | Path) -> None:
        self.root = str(root)
        if "://" not in self.root:
            self.root = str(Path(self.root).expanduser().absolute())
            local.check_folder(Path(self.root))
        filesystem, base = open_filesystem(self.root)
        self._fs: AbstractFileSystem = filesystem
        self._base: str = base.rstrip("/")
        self._is_local = "file" in ((protocol,) if isinstance(protocol := filesystem.protocol, str) else protocol)

    def check_writable(self) -> None:
        """Write and remove a probe; raises InputError before any work is done where the root cannot be written.

        Raises InfrastructureError when a remote root does not answer. Warns of an S3 server that would let a second
        manifest replace the first.
        """
        probe = f"{PROBE}{uuid.uuid4().hex}"
        try:
            with self.open_for_writing(probe) as handle:
                handle.write(b"probe")
            lack = self._lack_of_conditions(probe) if is_s3(self.root) else None
            self.remove(probe)
        except OSError as error:
            raise InputError(f"store: {self.root} cannot be written ({error}); choose another root") from error
        if lack is not None:
            logger.warning(
                "store: the server of %s %s conditional puts (If-None-Match): of two runs that commit the same result "
                "in the same moment the last one's stands, and both may hold its lease; let one run at a time use it",
                self.root,
                lack,
            )

    def _lack_of_conditions(self, there: str) -> str | None:
        """What an S3 server does with the condition that a file must not be there yet; None where it holds to it."""
        try:
            with explained(self.root):
                self._fs.pipe_file(self._path(there), b"probe", mode="create")
        except UnsupportedError:
            return "does not implement"
        except OSError:  # as `create` expects it
            return None
        return "ignores"

    def local_path(self, key: str) -> Path | None:
        """The key's path on local disk; None for a remote root."""
        return Path(self._path(key)) if self._is_local else None

    def local_root(self) -> Path | None:
        return Path(self._base) if self._is_local else None

    @contextmanager
    def open_for_writing(self, key: str) -> Iterator[BinaryIO]:
        """A new file; a remote one becomes visible when the block ends without an error."""
        path = self.local_path(key)
        if path is None:
            with explained(self.root):
                remote = self._fs.open(self._path(key), "wb")
                try:
                    yield cast("BinaryIO", remote)
                    remote.close()
                except BaseException as error:
                    _discard(remote, self.root, error)
                    raise
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())

    @contextmanager
    def open_for_reading(self, key: str) -> Iterator[BinaryIO]:
        with explained(self.root), self._fs.open(self._path(key), "rb") as handle:
            yield cast("BinaryIO", handle)

    def read(self, key: str) -> bytes:
        """A small file's bytes; raises FileNotFoundError."""
        with explained(self.root):
            return cast("bytes", self._fs.cat_file(self._path(key)))

    def read_many(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        """Small files' bytes in the order of their keys, None for one that is not there; remote ones are read together.

        Memory stays at some hundred files.
        """
        for start in range(0, len(keys), _READ_AHEAD):
            wanted = list(keys[start : start + _READ_AHEAD])
            if self._is_local:
                yield from ((key, self._read_if_there(key)) for key in wanted)
                continue
            with explained(self.root):
                found = self._fs.cat([self._path(key) for key in wanted], on_error="return")
            for key in wanted:
                content = found[self._path(key)]
                if isinstance(content, BaseException) and not isinstance(content, FileNotFoundError):
                    with explained(self.root):
                        raise content
                yield key, content if isinstance(content, bytes) else None

    def _read_if_there(self, key: str) -> bytes | None:
        try:
            return self.read(key)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in NO_FILE:
                raise
            return None

    def size(self, key: str) -> int:
        """Raises FileNotFoundError."""
        with explained(self.root):
            return int(self._fs.info(self._path(key))["size"])

    def state(self, key: str) -> str | None:
        """What would differ if the file had been written to since; None where that cannot be told.

        Raises FileNotFoundError.
        """
        path = self.local_path(key)
        if path is not None:
            return local_state(path)
        with explained(self.root):
            return remote_state(self._fs.info(self._path(key)))

    def create(self, key: str, content: bytes) -> bool:
        """Write a small file that is not there yet, whole or not at all; False when there is one.

        On S3 this is a conditional put. On a server that says it has none, the file is looked for first: of two writers
        at the same moment the last one's file stands. So it does, unnoticed, on a server that ignores the condition.
        """
        path = self.local_path(key)
        return self._create_remote(key, content) if path is None else local.create(path, content)

    def _create_remote(self, key: str, content: bytes) -> bool:
        try:
            with explained(self.root):
                self._fs.pipe_file(self._path(key), content, mode="create")
            return True
        except UnsupportedError:
            if self.exists(key):
                return False
            self.replace(key, content)
            return True
        except OSError as refusal:  # FileExistsError, or errno 22 from servers that answer 412 without the condition
            if not self.exists(key):
                raise InfrastructureError(
                    f"store: {self.root} refused to create {key} ({refusal}); run again"
                ) from refusal
            return False

    def replace(self, key: str, content: bytes) -> None:
        """Write a small file whether it is there or not; readers see the old or the new one."""
        path = self.local_path(key)
        if path is not None:
            local.replace(path, content)
            return
        with explained(self.root):
            self._fs.pipe_file(self._path(key), content)

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except FileNotFoundError:
            return False
        return True

    def remove(self, key: str) -> None:
        with explained(self.root):
            self._fs.rm_file(self._path(key))

    def remove_tree(self, key: str) -> None:
        """Remove a key, be it a file or a folder with all that is below it, if it is there."""
        path = self.local_path(key)
        if path is not None:
            if path.is_file():
                path.unlink()
            shutil.rmtree(path, ignore_errors=True)
            return
        with explained(self.root):
            if self._fs.exists(self._path(key)):
                self._fs.rm(self._path(key), recursive=True)

    def upload(self, source: Path, key: str) -> None:
        """Copy a local file to a remote key; memory stays at one part of the upload."""
        with source.open("rb") as reading, self.open_for_writing(key) as writing:
            shutil.copyfileobj(reading, writing, COPY_BYTES)

    def download(self, key: str, target: Path) -> None:
        with explained(self.root):
            self._fs.get_file(self._path(key), str(target))

    def files(self, below: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """Every file below the root, or below a key: its key and what the filesystem says of it. One flat listing."""
        try:
            with explained(self.root):
                found = self._fs.find(self._path(below) if below else self._base, detail=True)
        except FileNotFoundError:
            return
        for path, info in found.items():
            if info["type"] == "directory":  # SeaweedFS's answer when nothing is left below the root
                continue
            yield path.removeprefix(f"{self._base}/"), info

    def newest_first(self, below: str) -> list[str]:
        """The keys of the files below a key, by when they were written. One flat listing."""
        found = sorted(((written_at(info), key) for key, info in self.files(below)), reverse=True)
        return [key for _, key in found]

    def folders(self) -> list[str]:
        """The names of the folders directly below the root."""
        try:
            with explained(self.root):
                found = self._fs.ls(self._base, detail=True)
        except FileNotFoundError:
            return []
        return sorted(info["name"].rstrip("/").rpartition("/")[2] for info in found if info["type"] == "directory")

    def _path(self, key: str) -> str:
        return f"{self._base}/{check_relative(key)}"


def _discard(remote: Any, root: str, cause: BaseException) -> None:
    """Give up an upload: nothing becomes visible, and a fault on the way must not hide the one that caused this."""
    from fsspec.spec import AbstractBufferedFile

    if not isinstance(explain(root, cause), UnreachableError):
        with suppress(OSError, LatentError), explained(root):
            remote.discard()
    if isinstance(remote, AbstractBufferedFile):
        remote.closed = True  # its finalizer would upload what is left


def written_at(info: dict[str, Any]) -> float:
    """Modification time of a listed file in seconds: local listings call it `mtime`, S3 `LastModified`."""
    stamp = info.get("mtime", info.get("LastModified"))
    if isinstance(stamp, datetime):
        return stamp.timestamp()
    return float(stamp) if stamp is not None else time.time()
