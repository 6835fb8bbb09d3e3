"""Content-addressed artifacts on any fsspec filesystem: opening, reading and verifying them.

Every way to read an artifact gives the bytes that were written, or raises DamagedError.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

from latent_core.errors import InputError
from latent_core.store import hashing
from latent_core.store.columns import rows_of_batch
from latent_core.store.copies import local_copy
from latent_core.store.layout import MANIFEST, ArtifactRef
from latent_core.store.manifest import DamagedError, Manifest, ShardEntry, StoredFile
from latent_core.store.manifests import Manifests

if TYPE_CHECKING:
    import pyarrow as pa

_NOTHING: Mapping[ArtifactRef, str] = MappingProxyType({})


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


class ArtifactStore(Manifests):
    """Artifacts below one root: a local path or any fsspec URL such as `s3://bucket/prefix`."""

    def __reduce__(self) -> tuple[type[ArtifactStore], tuple[str]]:
        return ArtifactStore, (self.root,)

    def get(self, stage: str, fingerprint: str, whole: Mapping[ArtifactRef, str] = _NOTHING) -> Artifact | None:
        """The artifact if it exists and is whole (manifest sealed, every file there with its size), else None.

        `whole` holds the content hashes of artifacts found whole a moment ago: as shards they are not looked at again.
        """
        ref = ArtifactRef(stage, fingerprint)
        try:
            return self.require(ref, whole)
        except (DamagedError, FileNotFoundError):
            return None

    def require(self, ref: ArtifactRef, whole: Mapping[ArtifactRef, str] = _NOTHING) -> Artifact:
        """Like `get`, but raises FileNotFoundError when nothing was committed and DamagedError saying what is wrong."""
        artifact = Artifact(self, self.manifest(ref))
        for item in artifact.manifest.content.files:
            problem = hashing.size_problem(self, artifact.key(item.path), item)
            if problem is not None:
                raise DamagedError(f"{ref}: {problem}")
        for entry in artifact.manifest.content.shards:
            if whole.get(entry.ref) != entry.content_sha256:
                artifact.shard(entry)
        return artifact

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
        problems = [
            problem
            for item in manifest.content.files
            if (problem := hashing.hash_problem(self, manifest.key(item.path), item)) is not None
        ]
        files, size = len(manifest.content.files), sum(item.bytes for item in manifest.content.files)
        for entry in manifest.content.shards:
            inner = self.verify(entry.ref)
            files, size = files + inner.files, size + inner.bytes
            problems += [f"{entry.ref}: {problem}" for problem in inner.problems]
            if inner.ok and self.require(entry.ref).manifest.content.sha256 != entry.content_sha256:
                problems.append(f"{entry.ref}: replaced by a different shard since the merge")
        return Verification(ref, files, size, tuple(problems))


@dataclass(frozen=True)
class Artifact:
    """A committed artifact: its manifest, and ways to read its files.

    What is read is hashed first, once in a process for each state of a file (`latent_core.store.checks`), so that every
    way to read raises DamagedError rather than give what was not written. `is_trusted`: its opener has done that.
    """

    store: ArtifactStore
    manifest: Manifest
    is_trusted: bool = False

    @property
    def ref(self) -> ArtifactRef:
        return self.manifest.ref

    @property
    def rows(self) -> int:
        return self.manifest.content.rows

    def key(self, path: str) -> str:
        return self.manifest.key(path)

    def trusted(self) -> Artifact:
        """The same for a reader whose run has compared the hashes already, or was told to look at sizes only."""
        return replace(self, is_trusted=True)

    def shards(self) -> list[Artifact]:
        """The shards in order; raises DamagedError when one is gone or no longer the one that was merged."""
        return [self.shard(entry) for entry in self.manifest.content.shards]

    def shard(self, entry: ShardEntry) -> Artifact:
        """One of the shards; raises as `shards` does."""
        found = self.store.get(entry.stage, entry.fingerprint)
        if found is None or found.manifest.content.sha256 != entry.content_sha256:
            raise DamagedError(f"{self.ref}: shard {entry.ref} is missing or was replaced; run the stage again")
        return replace(found, is_trusted=self.is_trusted)

    def problems(self) -> list[str]:
        """What is not as it was written, of its own files and its shards'; what was found sound is not read again."""
        files = self.manifest.content.files
        found = [problem for item in files if (problem := self.problem(item)) is not None]
        for shard in self.shards():
            found += [f"{shard.ref}: {problem}" for problem in shard.problems()]
        return found

    def problem(self, item: StoredFile) -> str | None:
        """Why one of its files is not what was written; None when it is, or was when last read in its present state."""
        return hashing.problem(self.store, self.key(item.path), item)

    def check(self) -> Artifact:
        """The artifact itself; raises DamagedError unless all of it is what was written."""
        problems = self.problems()
        if problems:
            raise _damaged(self.ref, "; ".join(problems))
        return self

    def tables(self) -> list[str]:
        """The paths of its tables, its own or those of its shards."""
        own = {item.path for item in self.manifest.content.files if item.rows is not None}
        return sorted(own.union(*(self.shard(entry).tables() for entry in self.manifest.content.shards[:1])))

    def schema(self, path: str) -> pa.Schema:
        """A table's columns. Raises InputError naming the tables where there is none of that name, and DamagedError."""
        import pyarrow.parquet as pq

        item = self._listed(path)
        if item is not None:
            with self._opened(item) as handle:
                return pq.ParquetFile(handle).schema_arrow
        for entry in self.manifest.content.shards[:1]:
            return self.shard(entry).schema(path)
        raise InputError(f"path: {self.ref} has no table {path!r}; it has {', '.join(self.tables()) or 'none'}")

    def batches(self, path: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Stream a table's row groups, its own and then its shards'; memory stays at one row group.

        Raises InputError naming a missing table or column, and DamagedError.
        """
        import pyarrow.parquet as pq

        item = self._listed(path)
        if item is not None:
            with self._opened(item) as handle:
                table = pq.ParquetFile(handle)
                missing = set(columns or ()) - set(table.schema_arrow.names)
                if missing:
                    raise InputError(f"columns: {sorted(missing)} not in {path} of {self.ref}")
                yield from table.iter_batches(columns=list(columns) if columns is not None else None)
        elif not self.manifest.content.shards:
            raise InputError(f"path: {self.ref} has no table {path!r}")
        for entry in self.manifest.content.shards:
            yield from self.shard(entry).batches(path, columns)

    def rows_of(self, path: str, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Stream a table's rows as dictionaries."""
        for batch in self.batches(path, columns):
            yield from rows_of_batch(batch)

    def read_bytes(self, path: str) -> bytes:
        """A small file's bytes. Raises InputError where the artifact has none of that name, and DamagedError."""
        item = self._listed(path)
        if item is None:
            raise InputError(f"path: {self.ref} has no file {path!r}")
        with self._opened(item) as handle:
            content = handle.read()
        if hashlib.sha256(content).hexdigest() != item.sha256:
            raise _damaged(self.ref, f"{path}: its bytes are not those that were written")
        return content

    def directory(self, name: str) -> Path:
        """A local path that holds the files below `name/`: the store's own on local disk, a checked copy otherwise."""
        files = [item for item in self.manifest.content.files if item.path.startswith(f"{name}/")]
        if not files:
            raise InputError(f"path: {self.ref} has no directory {name!r}")
        local = self.store.local_path(self.key(name))
        if local is None:
            return local_copy(self.store, self.manifest, files) / name
        for item in files:
            self._require(item)
        return local

    def _listed(self, path: str) -> StoredFile | None:
        return next((item for item in self.manifest.content.files if item.path == path), None)

    def _require(self, item: StoredFile) -> None:
        problem = None if self.is_trusted else self.problem(item)
        if problem is not None:
            raise _damaged(self.ref, problem)

    @contextmanager
    def _opened(self, item: StoredFile) -> Iterator[BinaryIO]:
        """The file, open for reading; what a reader says of damaged bytes is raised as DamagedError."""
        import pyarrow as pa

        self._require(item)
        try:
            with self.store.open_for_reading(self.key(item.path)) as handle:
                yield handle
        except (OSError, pa.ArrowException) as error:
            problem = self.problem(item)
            if problem is None:
                raise
            raise _damaged(self.ref, problem) from error


def _damaged(ref: ArtifactRef, problem: str) -> DamagedError:
    return DamagedError(
        f"{ref} is damaged: {problem}; run again what made it, after `latent artifacts verify {ref} --set-aside` where "
        "that finds nothing to compute"
    )
