"""Content-addressed artifacts on any fsspec filesystem: what has a sealed manifest exists, nothing else does."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from latent_core.errors import InfrastructureError, InputError, LatentError
from latent_core.identity import hash_file
from latent_core.store.layout import MANIFEST, PROBE, TEMPORARY_MANIFEST, ArtifactRef, check_relative
from latent_core.store.manifest import DamagedError, Manifest, StoredFile
from latent_core.store.remote import UnreachableError, explain, explained, open_filesystem
from latent_core.store.writer import ArtifactWriter

if TYPE_CHECKING:
    import pyarrow as pa
    from fsspec import AbstractFileSystem

COPY_BYTES = 1 << 20  # of a file that is read or copied piece by piece


@dataclass(frozen=True)
class Verification:
    """Outcome of reading every byte of an artifact; `problems` names each file that is not as its manifest says."""

    ref: ArtifactRef
    files: int
    bytes: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class Artifact:
    """A committed artifact: its manifest, and ways to read its files."""

    store: ArtifactStore
    manifest: Manifest

    @property
    def ref(self) -> ArtifactRef:
        return self.manifest.ref

    @property
    def rows(self) -> int:
        return self.manifest.content.rows

    def key(self, path: str) -> str:
        return f"{self.ref.key}/{self.manifest.record['attempt']}/{check_relative(path)}"

    def shards(self) -> list[Artifact]:
        """The shards in order; raises DamagedError when one is gone or no longer the one that was merged."""
        found = []
        for entry in self.manifest.content.shards:
            shard = self.store.get(entry.stage, entry.fingerprint)
            if shard is None or shard.manifest.content.sha256 != entry.content_sha256:
                raise DamagedError(f"{self.ref}: shard {entry.ref} is missing or was replaced; run the stage again")
            found.append(shard)
        return found

    def batches(self, path: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Stream a table's row groups, its own and then its shards'; memory stays at one row group.

        Raises InputError naming a missing table or column.
        """
        import pyarrow.parquet as pq

        if any(item.path == path for item in self.manifest.content.files):
            with self.store.open_for_reading(self.key(path)) as handle:
                table = pq.ParquetFile(handle)
                missing = set(columns or ()) - set(table.schema_arrow.names)
                if missing:
                    raise InputError(f"columns: {sorted(missing)} not in {path} of {self.ref}")
                yield from table.iter_batches(columns=list(columns) if columns is not None else None)
        elif not self.manifest.content.shards:
            raise InputError(f"path: {self.ref} has no table {path!r}")
        for shard in self.shards():
            yield from shard.batches(path, columns)

    def rows_of(self, path: str, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Stream a table's rows as dictionaries."""
        for batch in self.batches(path, columns):
            yield from batch.to_pylist()

    def read_bytes(self, path: str) -> bytes:
        with self.store.open_for_reading(self.key(path)) as handle:
            return handle.read()

    def directory(self, name: str) -> Path:
        """A local path that holds the files below `name/`: the store's own on local disk, a checked copy otherwise."""
        files = [item for item in self.manifest.content.files if item.path.startswith(f"{name}/")]
        if not files:
            raise InputError(f"path: {self.ref} has no directory {name!r}")
        local = self.store.local_path(self.key(name))
        return local if local is not None else self.store.download(self, name, files)


class ArtifactStore:
    """Artifacts below one root: a local path or any fsspec URL such as `s3://bucket/prefix`."""

    def __init__(self, root: str | Path) -> None:
        self.root = str(root)
        if "://" not in self.root:
            self.root = str(Path(self.root).expanduser().absolute())
        filesystem, base = open_filesystem(self.root)
        self._fs: AbstractFileSystem = filesystem
        self._base: str = base.rstrip("/")
        self._is_local = "file" in ((protocol,) if isinstance(protocol := filesystem.protocol, str) else protocol)

    def __reduce__(self) -> tuple[type[ArtifactStore], tuple[str]]:
        return ArtifactStore, (self.root,)

    def uri(self, ref: ArtifactRef) -> str:
        return f"{self.root.rstrip('/')}/{ref.key}"

    def check_writable(self) -> None:
        """Write and remove a probe; raises InputError before any work is done where the root cannot be written.

        Raises InfrastructureError when a remote root does not answer.
        """
        probe = f"{PROBE}{uuid.uuid4().hex}"
        try:
            with self.open_for_writing(probe) as handle:
                handle.write(b"probe")
            with explained(self.root):
                self._fs.rm_file(self._path(probe))
        except OSError as error:
            raise InputError(f"store: {self.root} cannot be written ({error}); choose another root") from error

    def begin(self, stage: str, fingerprint: str) -> ArtifactWriter:
        """Start an attempt at an artifact; several may race. Raises InputError for a malformed address."""
        return ArtifactWriter(self, ArtifactRef(stage, fingerprint))

    def get(self, stage: str, fingerprint: str) -> Artifact | None:
        """The artifact if it exists and is whole (manifest sealed, every file there with its size), else None."""
        ref = ArtifactRef(stage, fingerprint)
        try:
            return self.require(ref)
        except (DamagedError, FileNotFoundError):
            return None

    def require(self, ref: ArtifactRef) -> Artifact:
        """Like `get`, but raises FileNotFoundError when nothing was committed and DamagedError saying what is wrong."""
        artifact = Artifact(self, self.manifest(ref))
        for item in artifact.manifest.content.files:
            try:
                with explained(self.root):
                    size = self._fs.info(self._path(artifact.key(item.path)))["size"]
            except FileNotFoundError as error:
                raise DamagedError(f"{ref}: {item.path} is missing") from error
            if size != item.bytes:
                raise DamagedError(f"{ref}: {item.path} has {size} bytes, its manifest says {item.bytes}")
        artifact.shards()
        return artifact

    def manifest(self, ref: ArtifactRef) -> Manifest:
        """The sealed manifest, without a look at the files; raises as `require` does."""
        return Manifest.from_bytes(self._read(f"{ref.key}/{MANIFEST}"), ref)

    def damage(self, ref: ArtifactRef) -> str | None:
        """Why a committed artifact cannot be used; None when it is whole or was never committed."""
        try:
            self.require(ref)
        except FileNotFoundError:
            return None
        except DamagedError as error:
            return str(error)
        return None

    def verify(self, ref: ArtifactRef) -> Verification:
        """Read every file of an artifact and its shards and compare hashes."""
        try:
            manifest = self.manifest(ref)
        except FileNotFoundError:
            return Verification(ref, 0, 0, (f"{MANIFEST}: missing, so the artifact does not exist",))
        except DamagedError as error:
            return Verification(ref, 0, 0, (f"{MANIFEST}: {error}",))
        artifact = Artifact(self, manifest)
        problems = [
            problem for item in manifest.content.files if (problem := self._check_file(artifact, item)) is not None
        ]
        files, size = len(manifest.content.files), sum(item.bytes for item in manifest.content.files)
        for entry in manifest.content.shards:
            inner = self.verify(entry.ref)
            files, size = files + inner.files, size + inner.bytes
            problems += [f"{entry.ref}: {problem}" for problem in inner.problems]
            if inner.ok and self.require(entry.ref).manifest.content.sha256 != entry.content_sha256:
                problems.append(f"{entry.ref}: replaced by a different shard since the merge")
        return Verification(ref, files, size, tuple(problems))

    def list(self) -> Iterator[ArtifactRef]:
        """The addresses of all committed artifacts, by stage and fingerprint."""
        with explained(self.root):
            found = sorted(self._fs.glob(f"{self._base}/*/*/{MANIFEST}"))
        for manifest in found:
            stage, fingerprint = manifest.split("/")[-3:-1]
            yield ArtifactRef(stage, fingerprint)

    def find(self, address: str) -> ArtifactRef:
        """The committed artifact at `stage/fingerprint`, whose fingerprint may be shortened while it stays unique.

        Raises InputError when none or several match.
        """
        stage, _, start = address.partition("/")
        matches = [ref for ref in self.list() if ref.stage == stage and ref.fingerprint.startswith(start)]
        if len(matches) != 1:
            found = f"{len(matches)} artifacts match" if matches else "no artifact matches"
            raise InputError(f"artifact: {found} {address!r} in {self.root}; `latent artifacts ls` lists them")
        return matches[0]

    def files(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every file below the root, committed or not: its key and what the filesystem says of it."""
        try:
            with explained(self.root):
                found = self._fs.find(self._base, detail=True)
        except FileNotFoundError:
            return
        for path, info in found.items():
            yield path.removeprefix(f"{self._base}/"), info

    def empty_attempts(self) -> Iterator[tuple[str, float]]:
        """Attempt folders without a single file, and when they were made; object stores have no empty folders."""
        base = Path(self._base)
        for folder in sorted(base.glob("[a-z]*/*/*/")) if self._is_local else ():
            with suppress(FileNotFoundError):  # its writer may just be leaving
                if not any(path.is_file() for path in folder.rglob("*")):
                    yield folder.relative_to(base).as_posix(), folder.stat().st_mtime

    def remove_file(self, key: str) -> None:
        with suppress(FileNotFoundError), explained(self.root):
            self._fs.rm_file(self._path(key))

    def set_aside(self, ref: ArtifactRef) -> None:
        """Make a damaged artifact not exist, so that it can be computed again; its files stay until gc."""
        with suppress(FileNotFoundError), explained(self.root):  # another run may have been quicker
            self._fs.rm_file(self._path(f"{ref.key}/{MANIFEST}"))

    # -- what writers and artifacts need of the filesystem ---------------------------------------------------------

    def put_manifest(self, manifest: Manifest) -> bool:
        """Create the manifest if there is none; returns whether this one is the one that stands."""
        key = f"{manifest.ref.key}/{MANIFEST}"
        local = self.local_path(key)
        if local is None:
            return self._create_remote(manifest, key)
        temporary = local.with_name(f"{TEMPORARY_MANIFEST}{manifest.record['attempt']}")
        temporary.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as handle:
                handle.write(manifest.to_bytes())
                handle.flush()
                os.fsync(handle.fileno())
            os.link(temporary, local)  # atomic, and refuses to replace: the first manifest wins
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def _create_remote(self, manifest: Manifest, key: str) -> bool:
        try:
            with explained(self.root):
                self._fs.pipe_file(self._path(key), manifest.to_bytes(), mode="create")
        except OSError as refusal:  # FileExistsError, or errno 22 from servers that answer 412 without the condition
            try:
                winner = self.manifest(manifest.ref)
            except FileNotFoundError:
                raise InfrastructureError(
                    f"store: {self.root} refused to create {key} ({refusal}); run again"
                ) from refusal
            # A put whose answer was lost is sent again, and then refused because of itself.
            return bool(winner.record["attempt"] == manifest.record["attempt"])
        return True

    @contextmanager
    def open_for_writing(self, key: str) -> Iterator[BinaryIO]:
        local = self.local_path(key)
        if local is None:
            with explained(self.root):
                remote = self._fs.open(self._path(key), "wb")
                try:
                    yield cast("BinaryIO", remote)
                    remote.close()
                except BaseException as error:
                    _discard(remote, self.root, error)
                    raise
            return
        local.parent.mkdir(parents=True, exist_ok=True)
        with local.open("xb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())

    @contextmanager
    def open_for_reading(self, key: str) -> Iterator[BinaryIO]:
        with explained(self.root), self._fs.open(self._path(key), "rb") as handle:
            yield cast("BinaryIO", handle)

    def upload(self, source: Path, key: str) -> None:
        """Copy a local file to a remote key; memory stays at one part of the upload."""
        with source.open("rb") as reading, self.open_for_writing(key) as writing:
            shutil.copyfileobj(reading, writing, COPY_BYTES)

    def download(self, artifact: Artifact, name: str, files: Sequence[StoredFile]) -> Path:
        """Copy a remote directory into the local cache, once per content."""
        base = Path(os.environ.get("LATENT_CACHE", "~/.cache/latent")).expanduser()
        target = base / "artifacts" / artifact.ref.key / artifact.manifest.content.sha256[:16]
        for item in files:
            local = target / item.path
            if not local.exists() or local.stat().st_size != item.bytes:
                local.parent.mkdir(parents=True, exist_ok=True)
                self._fetch(artifact, item, local)
        return target / name

    def _fetch(self, artifact: Artifact, item: StoredFile, local: Path) -> None:
        partial = local.with_name(f".{local.name}.{os.getpid()}")
        try:
            with explained(self.root):
                self._fs.get_file(self._path(artifact.key(item.path)), str(partial))
            if hash_file(partial) != item.sha256:
                raise DamagedError(f"{artifact.ref}: {item.path}: its bytes are not those that were written")
            partial.replace(local)
        finally:
            partial.unlink(missing_ok=True)

    def local_path(self, key: str) -> Path | None:
        """The key's path on local disk; None for a remote store."""
        return Path(self._path(key)) if self._is_local else None

    def remove_attempt(self, ref: ArtifactRef, attempt: str) -> None:
        folder = f"{ref.key}/{attempt}"
        local = self.local_path(folder)
        if local is not None:
            shutil.rmtree(local, ignore_errors=True)
            return
        with explained(self.root):
            if self._fs.exists(self._path(folder)):
                self._fs.rm(self._path(folder), recursive=True)

    def _path(self, key: str) -> str:
        return f"{self._base}/{check_relative(key)}"

    def _read(self, key: str) -> bytes:
        with explained(self.root):
            return cast("bytes", self._fs.cat_file(self._path(key)))

    def _check_file(self, artifact: Artifact, item: StoredFile) -> str | None:
        try:
            with self.open_for_reading(artifact.key(item.path)) as handle:
                digest = hashlib.sha256()
                while chunk := handle.read(COPY_BYTES):
                    digest.update(chunk)
        except FileNotFoundError:
            return f"{item.path}: missing"
        return None if digest.hexdigest() == item.sha256 else f"{item.path}: its bytes are not those that were written"


def _discard(remote: Any, root: str, cause: BaseException) -> None:
    """Give up an upload: nothing becomes visible, and a fault on the way must not hide the one that caused this."""
    from fsspec.spec import AbstractBufferedFile

    if not isinstance(explain(root, cause), UnreachableError):
        with suppress(OSError, LatentError), explained(root):
            remote.discard()
    if isinstance(remote, AbstractBufferedFile):
        remote.closed = True  # its finalizer would upload what is left
