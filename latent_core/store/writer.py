"""Writing one artifact: files go into an attempt folder of their own, the manifest is the commit point."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from latent_core.errors import InputError, LatentError
from latent_core.identity import HasIdentity, canonical_form, fingerprint, hash_file
from latent_core.store.columns import table_of_rows
from latent_core.store.layout import ArtifactRef, check_relative
from latent_core.store.manifest import Content, Manifest, ShardEntry, StoredFile
from latent_core.store.reference import Reference
from latent_core.store.remote import UnreachableError
from latent_core.store.space import FullError, is_full
from latent_core.store.store import Artifact, ArtifactStore

if TYPE_CHECKING:
    import pyarrow as pa


PIECE = 1 << 20  # bytes handed on at once: a remote file buffers a part and what comes with one call
_NO_PARENTS: Mapping[str, Reference] = MappingProxyType({})
ROW_GROUP = 4096  # rows buffered before a row group is written: bounds memory at any number of rows


class _HashingFile:
    """A write-only file that hashes and counts what passes through, so that no file is read back to be described."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._digest = hashlib.sha256()
        self.bytes = 0
        self.closed = False
        self.abandoned = False  # the attempt failed: what is still written goes nowhere

    def write(self, chunk: Any) -> int:
        view = memoryview(chunk)
        if self.abandoned:
            return view.nbytes
        flat = view.cast("B")
        for start in range(0, flat.nbytes, PIECE):
            self._handle.write(flat[start : start + PIECE])
        self._digest.update(view)
        self.bytes += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        self._handle.flush()

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class TableWriter:
    """Rows in, row groups out; `add` takes one row as a mapping with exactly the schema's columns."""

    def __init__(self, schema: pa.Schema, sink: _HashingFile) -> None:
        import pyarrow.parquet as pq

        self._schema = schema
        self._sink = sink
        self._columns = set(schema.names)
        self._writer = pq.ParquetWriter(sink, schema, compression="zstd")
        self._buffer: list[Mapping[str, Any]] = []
        self.rows = 0

    def add(self, row: Mapping[str, Any]) -> None:
        if row.keys() != self._columns:
            raise InputError(f"columns: a row has {sorted(row)}, the table has {sorted(self._columns)}")
        self._buffer.append(row)
        self.rows += 1
        if len(self._buffer) >= ROW_GROUP:
            self._flush()

    def extend(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            self.add(row)

    def _flush(self) -> None:
        if self._buffer:
            self._writer.write_table(table_of_rows(self._buffer, self._schema))
            self._buffer = []

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def abandon(self) -> None:
        """Let go of the Parquet writer, which would otherwise write its footer when it is collected."""
        self._sink.abandoned = True
        self._writer.close()


def begin(store: ArtifactStore, ref: ArtifactRef) -> ArtifactWriter:
    """Start an attempt at an artifact; several may race."""
    return ArtifactWriter(store, ref)


class ArtifactWriter:
    """One attempt at one artifact. Use as a context manager; nothing exists until `commit` returns.

    Leaving the context without a commit removes the attempt's files as far as possible.
    """

    def __init__(self, store: ArtifactStore, ref: ArtifactRef) -> None:
        self.store = store
        self.ref = ref
        self.attempt = f"attempt-{uuid.uuid4().hex}"
        self._files: dict[str, StoredFile] = {}
        self._shards: list[ShardEntry] = []
        self._started = time.time()
        self._committed = False
        self._in_doubt = False  # the manifest was sent, and no answer came

    def __enter__(self) -> ArtifactWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._committed or self._in_doubt or isinstance(error, UnreachableError):
            return  # a silent endpoint would only make the error come later
        with suppress(OSError, LatentError):  # what stays behind is a leftover; gc finds it
            self.store.remove_tree(f"{self.ref.key}/{self.attempt}")
        if error is not None and not isinstance(error, LatentError) and is_full(error):
            reason = str(error).partition("\n")[0]
            raise FullError(
                f"store: no space left for {self.ref} in {self.store.root} ({reason}); make room there (`latent "
                "artifacts gc`), then run the same command again: it continues from what is committed"
            ) from error

    def _key(self, path: str) -> str:
        if check_relative(path) in self._files:
            raise InputError(f"path: {path!r} was already written to {self.ref}")
        return f"{self.ref.key}/{self.attempt}/{path}"

    @contextmanager
    def open(self, path: str) -> Iterator[_HashingFile]:
        """Open a new file of the artifact for writing; it is listed when the block ends without an error."""
        with self.store.open_for_writing(self._key(path)) as handle:
            sink = _HashingFile(handle)
            yield sink
        self._files[path] = StoredFile(path, sink.bytes, sink.sha256)

    @contextmanager
    def table(self, path: str, schema: pa.Schema) -> Iterator[TableWriter]:
        """Open a new Parquet file (zstd, row groups of 4096 rows) for streaming writes."""
        with self.open(path) as sink:
            table = TableWriter(schema, sink)
            try:
                yield table
                table.close()
            except BaseException:
                table.abandon()
                raise
        self._files[path] = StoredFile(path, sink.bytes, sink.sha256, table.rows)

    @contextmanager
    def directory(self, name: str) -> Iterator[Path]:
        """A local scratch folder whose files become part of the artifact below `name/` when the block ends."""
        local = self.store.local_path(self._key(name))
        scratch = local or Path(tempfile.mkdtemp(prefix="latent-"))
        scratch.mkdir(parents=True, exist_ok=True)
        try:
            yield scratch
            for source in sorted(path for path in scratch.rglob("*") if path.is_file()):
                path = check_relative(f"{name}/{source.relative_to(scratch).as_posix()}")
                if local is None:
                    self.store.upload(source, self._key(path))
                self._files[path] = StoredFile(path, source.stat().st_size, hash_file(source))
        finally:
            if local is None:
                shutil.rmtree(scratch)

    def add_shard(self, shard: Artifact) -> None:
        """Make a committed artifact a shard of this one; its files are referred to, never copied."""
        content = shard.manifest.content
        self._shards.append(ShardEntry(content.stage, content.fingerprint, content.sha256, content.rows))

    def commit(
        self,
        *,
        stage_version: int = 1,
        config: object = None,
        parents: Mapping[str, Reference | ArtifactRef] = _NO_PARENTS,
        rows: int | None = None,
        accounting: Mapping[str, int] | None = None,
        metrics: Mapping[str, Any] | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> Artifact:
        """Write the manifest; the artifact exists from here on. The first of two racing writers wins.

        `config` is the identity configuration in clear. `rows` defaults to the sum over tables and shards. Raises
        InputError when stage_version, config and parents are given but do not hash to this artifact's fingerprint.
        """
        if config is not None:
            fingerprints = {role: parent.fingerprint for role, parent in parents.items()}
            expected = fingerprint(self.ref.stage, stage_version, config, fingerprints)
            if expected != self.ref.fingerprint:
                raise InputError(f"fingerprint: {self.ref} is not the fingerprint of the given configuration")
        identity = config.identity() if isinstance(config, HasIdentity) else config
        files = tuple(self._files[path] for path in sorted(self._files))
        content = Content(
            stage=self.ref.stage,
            stage_version=stage_version,
            fingerprint=self.ref.fingerprint,
            identity=cast("dict[str, Any]", canonical_form(identity if identity is not None else {})),
            parents={role: Reference(parent.stage, parent.fingerprint) for role, parent in parents.items()},
            files=files,
            shards=tuple(self._shards),
            rows=_total_rows(files, self._shards) if rows is None else rows,
            accounting=dict(accounting or {}),
            metrics=cast("dict[str, Any]", canonical_form(dict(metrics or {}), "metrics")),
        )
        times = {"attempt": self.attempt, "started": self._started, "seconds": time.time() - self._started}
        manifest = Manifest(content, times | dict(record or {}))
        self._in_doubt = self.store.local_path(self.ref.key) is None
        self._committed = self.store.put_manifest(manifest)
        self._in_doubt = False
        winner = self.store.get(self.ref.stage, self.ref.fingerprint)
        if winner is None:
            raise InputError(f"{self.ref}: damaged directly after its commit; check the store's disk or bucket")
        return winner


def _total_rows(files: Sequence[StoredFile], shards: Sequence[ShardEntry]) -> int:
    return sum(item.rows or 0 for item in files) + sum(shard.rows for shard in shards)
