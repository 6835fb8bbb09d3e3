"""Content-addressed artifacts on any fsspec filesystem: what has a sealed manifest exists, nothing else does."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from latent_core.errors import InputError
from latent_core.identity import hash_file
from latent_core.store.columns import rows_of_batch
from latent_core.store.known import KnownManifests
from latent_core.store.layout import MANIFEST, ArtifactRef, check_relative, manifest_address
from latent_core.store.manifest import DamagedError, Manifest, ShardEntry, StoredFile
from latent_core.store.remote import is_s3
from latent_core.store.root import COPY_BYTES, NO_FILE, Root
from latent_core.store.writer import ArtifactWriter

if TYPE_CHECKING:
    import pyarrow as pa


_NOTHING: Mapping[ArtifactRef, str] = MappingProxyType({})
_TOGETHER = 512  # manifests that are read, and remembered, together


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
        return [self.shard(entry) for entry in self.manifest.content.shards]

    def shard(self, entry: ShardEntry) -> Artifact:
        """One of the shards; raises as `shards` does."""
        found = self.store.get(entry.stage, entry.fingerprint)
        if found is None or found.manifest.content.sha256 != entry.content_sha256:
            raise DamagedError(f"{self.ref}: shard {entry.ref} is missing or was replaced; run the stage again")
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
        for entry in self.manifest.content.shards:
            yield from self.shard(entry).batches(path, columns)

    def rows_of(self, path: str, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Stream a table's rows as dictionaries."""
        for batch in self.batches(path, columns):
            yield from rows_of_batch(batch)

    def read_bytes(self, path: str) -> bytes:
        with self.store.open_for_reading(self.key(path)) as handle:
            return handle.read()

    def directory(self, name: str) -> Path:
        """A local path that holds the files below `name/`: the store's own on local disk, a checked copy otherwise."""
        files = [item for item in self.manifest.content.files if item.path.startswith(f"{name}/")]
        if not files:
            raise InputError(f"path: {self.ref} has no directory {name!r}")
        local = self.store.local_path(self.key(name))
        return local if local is not None else self.store.local_copy(self, name, files)


class ArtifactStore(Root):
    """Artifacts below one root: a local path or any fsspec URL such as `s3://bucket/prefix`."""

    def __reduce__(self) -> tuple[type[ArtifactStore], tuple[str]]:
        return ArtifactStore, (self.root,)

    def uri(self, ref: ArtifactRef) -> str:
        return f"{self.root.rstrip('/')}/{ref.key}"

    def begin(self, stage: str, fingerprint: str) -> ArtifactWriter:
        """Start an attempt at an artifact; several may race. Raises InputError for a malformed address."""
        return ArtifactWriter(self, ArtifactRef(stage, fingerprint))

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
            try:
                size = self.size(artifact.key(item.path))
            except OSError as error:
                if not isinstance(error, FileNotFoundError) and error.errno not in NO_FILE:
                    raise
                raise DamagedError(f"{ref}: {item.path} is missing") from error
            if size != item.bytes:
                raise DamagedError(f"{ref}: {item.path} has {size} bytes, its manifest says {item.bytes}")
        for entry in artifact.manifest.content.shards:
            if whole.get(entry.ref) != entry.content_sha256:
                artifact.shard(entry)
        return artifact

    def manifest(self, ref: ArtifactRef) -> Manifest:
        """The sealed manifest, without a look at the files; raises as `require` does."""
        try:
            raw = self.read(f"{ref.key}/{MANIFEST}")
        except OSError as error:
            if error.errno not in NO_FILE:
                raise
            raise DamagedError(f"{ref}: {MANIFEST} is no file any more ({error.strerror})") from error
        return Manifest.from_bytes(raw, ref)

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

    def list(self, stage: str | None = None) -> Iterator[ArtifactRef]:
        """The addresses of all committed artifacts, or of one stage's, by stage and fingerprint."""
        folder = self.local_path(stage) if stage else self._local_root()
        if folder is not None:  # a look for each manifest beats walking through all files
            found = folder.glob(f"*/{MANIFEST}" if stage else f"*/*/{MANIFEST}")
            keys = ["/".join(path.parts[-3:]) for path in found]
        else:
            keys = [key for key, _ in self.files(stage or "")]
        yield from sorted(filter(None, map(manifest_address, keys)), key=lambda ref: ref.key)

    def committed(
        self, stage: str | None = None, listed: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Iterator[tuple[ArtifactRef, Manifest | DamagedError]]:
        """All sealed manifests, or one stage's, in the order of `list`, or what is wrong with one.

        `listed` is what `files` said a moment ago, if it was asked. An artifact that is gone by now is left out. A
        remote store's manifests are read once by a machine, and again when their ETag changes.
        """
        if listed is None and not self._is_local:
            listed = dict(self.files(stage or ""))
        if listed is None:
            refs = list(self.list(stage))
        else:
            refs = sorted(filter(None, map(manifest_address, listed)), key=lambda ref: ref.key)
        known = KnownManifests(self.root) if is_s3(self.root) else None
        for start in range(0, len(refs), _TOGETHER):
            some = refs[start : start + _TOGETHER]
            yield from self.read_manifests(some) if known is None else self._recall(some, listed or {}, known)
        if known is not None and stage is None:
            known.keep_only(refs)

    def read_manifests(self, refs: Collection[ArtifactRef]) -> Iterator[tuple[ArtifactRef, Manifest | DamagedError]]:
        """Manifests as they are in the store now, read together; what does not exist is left out."""
        for ref, raw in self._raw_manifests(refs):
            yield ref, _opened(raw, ref)

    def _raw_manifests(self, refs: Collection[ArtifactRef]) -> Iterator[tuple[ArtifactRef, bytes]]:
        contents = self.read_many([f"{ref.key}/{MANIFEST}" for ref in refs])
        for ref, (_, raw) in zip(refs, contents, strict=True):
            if raw is not None:
                yield ref, raw

    def _recall(
        self, refs: Sequence[ArtifactRef], listed: Mapping[str, Mapping[str, Any]], known: KnownManifests
    ) -> Iterator[tuple[ArtifactRef, Manifest | DamagedError]]:
        """What `read_manifests` gives, from the cache where the listing shows that nothing changed since."""
        tags = {ref: str(listed[f"{ref.key}/{MANIFEST}"]["ETag"]) for ref in refs}
        found = {ref: _opened(raw, ref) for ref, raw in known.recall(tags)}
        wrong = [ref for ref in refs if not isinstance(found.get(ref), Manifest)]  # the store's own bytes decide
        read = []
        for ref, raw in self._raw_manifests(wrong):
            found[ref] = _opened(raw, ref)
            read.append((ref, tags[ref], raw))
        known.learn((ref, tag, raw) for ref, tag, raw in read if isinstance(found[ref], Manifest))
        yield from ((ref, found[ref]) for ref in refs if ref in found)

    def find(self, address: str) -> ArtifactRef:
        """The committed artifact at `stage/fingerprint`, whose fingerprint may be shortened while it stays unique.

        Raises InputError when none or several match.
        """
        stage, _, start = address.partition("/")
        matches = [ref for ref in self.list(stage) if ref.fingerprint.startswith(start)]
        if len(matches) != 1:
            found = f"{len(matches)} artifacts match" if matches else "no artifact matches"
            raise InputError(f"artifact: {found} {address!r} in {self.root}; `latent artifacts ls` lists them")
        return matches[0]

    def empty_attempts(self) -> Iterator[tuple[str, float]]:
        """Attempt folders without a single file, and when they were made; object stores have no empty folders."""
        base = Path(self._base)
        for folder in sorted(base.glob("[a-z]*/*/*/")) if self._is_local else ():
            with suppress(FileNotFoundError):  # its writer may just be leaving
                if not any(path.is_file() for path in folder.rglob("*")):
                    yield folder.relative_to(base).as_posix(), folder.stat().st_mtime

    def set_aside(self, ref: ArtifactRef) -> None:
        """Make a damaged artifact not exist, so that it can be computed again; its files stay until gc."""
        with suppress(FileNotFoundError):  # another run may have been quicker
            self.remove(f"{ref.key}/{MANIFEST}")

    def put_manifest(self, manifest: Manifest) -> bool:
        """Create the manifest if there is none; returns whether this one is the one that stands."""
        if self.create(f"{manifest.ref.key}/{MANIFEST}", manifest.to_bytes()):
            return True
        try:
            winner = self.manifest(manifest.ref)
        except DamagedError:
            return False
        # A put whose answer was lost is sent again, and then refused because of itself.
        return bool(winner.record["attempt"] == manifest.record["attempt"])

    def remove_attempt(self, ref: ArtifactRef, attempt: str) -> None:
        self.remove_tree(f"{ref.key}/{attempt}")

    def local_copy(self, artifact: Artifact, name: str, files: Sequence[StoredFile]) -> Path:
        """The directory `name` of a remote artifact in the local cache, downloaded once per content and checked."""
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
            self.download(artifact.key(item.path), partial)
            if hash_file(partial) != item.sha256:
                raise DamagedError(f"{artifact.ref}: {item.path}: its bytes are not those that were written")
            partial.replace(local)
        finally:
            partial.unlink(missing_ok=True)

    def _check_file(self, artifact: Artifact, item: StoredFile) -> str | None:
        digest = hashlib.sha256()
        try:
            with self.open_for_reading(artifact.key(item.path)) as handle:
                while chunk := handle.read(COPY_BYTES):
                    digest.update(chunk)
        except FileNotFoundError:
            return f"{item.path}: missing"
        except OSError as error:
            if error.errno not in NO_FILE:
                raise
            return f"{item.path}: no file any more ({error.strerror})"
        return None if digest.hexdigest() == item.sha256 else f"{item.path}: its bytes are not those that were written"


def _opened(raw: bytes, ref: ArtifactRef) -> Manifest | DamagedError:
    try:
        return Manifest.from_bytes(raw, ref)
    except DamagedError as error:
        return error
