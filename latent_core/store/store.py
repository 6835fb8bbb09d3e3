"""Content-addressed artifacts on any fsspec filesystem: what has a sealed manifest exists, nothing else does."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from latent_core.errors import InputError
from latent_core.identity import hash_file
from latent_core.store.artifact import Artifact
from latent_core.store.checks import CHECKED, local_state
from latent_core.store.format_one import StageOf
from latent_core.store.known import KnownManifests
from latent_core.store.layout import MANIFEST, ArtifactRef, manifest_address
from latent_core.store.manifest import DamagedError, Manifest, StoredFile
from latent_core.store.remote import is_s3
from latent_core.store.root import COPY_BYTES, NO_FILE, Root
from latent_core.store.writer import ArtifactWriter

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
        return Manifest.from_bytes(raw, ref, self.stage_of)

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

    def problem(self, artifact: Artifact, item: StoredFile) -> str | None:
        """Why a file is not what was written; None when it is, or was found to be in the state it is in now."""
        key = artifact.key(item.path)
        try:
            state = self.state(key)
        except OSError as error:
            return _no_file(item, error)
        path = f"{self.root}/{key}"
        if CHECKED.knows(path, state, item.sha256, item.bytes):
            return None
        problem = self._check_file(artifact, item)
        if problem is None:
            CHECKED.remember(path, state, item.sha256, item.bytes)
        return problem

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
        stage_of = self.stage_of if stage else {ref.fingerprint: ref.stage for ref in refs}.get
        known = KnownManifests(self.root) if is_s3(self.root) else None
        for start in range(0, len(refs), _TOGETHER):
            some = refs[start : start + _TOGETHER]
            if known is None:
                yield from ((ref, _opened(raw, ref, stage_of)) for ref, raw in self._raw_manifests(some))
            else:
                yield from self._recall(some, listed or {}, known, stage_of)
        if known is not None and stage is None:
            known.keep_only(refs)

    def read_manifests(self, refs: Collection[ArtifactRef]) -> Iterator[tuple[ArtifactRef, Manifest | DamagedError]]:
        """Manifests as they are in the store now, read together; what does not exist is left out."""
        for ref, raw in self._raw_manifests(refs):
            yield ref, _opened(raw, ref, self.stage_of)

    def _raw_manifests(self, refs: Collection[ArtifactRef]) -> Iterator[tuple[ArtifactRef, bytes]]:
        contents = self.read_many([f"{ref.key}/{MANIFEST}" for ref in refs])
        for ref, (_, raw) in zip(refs, contents, strict=True):
            if raw is not None:
                yield ref, raw

    def _recall(
        self,
        refs: Sequence[ArtifactRef],
        listed: Mapping[str, Mapping[str, Any]],
        known: KnownManifests,
        stage_of: StageOf,
    ) -> Iterator[tuple[ArtifactRef, Manifest | DamagedError]]:
        """What `read_manifests` gives, from the cache where the listing shows that nothing changed since."""
        tags = {ref: str(listed[f"{ref.key}/{MANIFEST}"]["ETag"]) for ref in refs}
        found = {ref: _opened(raw, ref, stage_of) for ref, raw in known.recall(tags)}
        wrong = [ref for ref in refs if not isinstance(found.get(ref), Manifest)]  # the store's own bytes decide
        read = []
        for ref, raw in self._raw_manifests(wrong):
            found[ref] = _opened(raw, ref, stage_of)
            read.append((ref, tags[ref], raw))
        known.learn((ref, tag, raw) for ref, tag, raw in read if isinstance(found[ref], Manifest))
        yield from ((ref, found[ref]) for ref in refs if ref in found)

    def stage_of(self, fingerprint: str) -> str | None:
        """The stage of the artifact with this fingerprint; None when the store has none."""
        keys = [f"{stage}/{fingerprint}/{MANIFEST}" for stage in self.folders()]
        return next((key.partition("/")[0] for key, raw in self.read_many(keys) if raw is not None), None)

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
            if not _is_copy(local, item):
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
        except OSError as error:
            return _no_file(item, error)
        return None if digest.hexdigest() == item.sha256 else f"{item.path}: its bytes are not those that were written"


def _no_file(item: StoredFile, error: OSError) -> str:
    """What it says of a file that there is nothing to read; any other error is raised as it is."""
    if isinstance(error, FileNotFoundError):
        return f"{item.path}: missing"
    if error.errno not in NO_FILE:
        raise error
    return f"{item.path}: no file any more ({error.strerror})"


def _is_copy(local: Path, item: StoredFile) -> bool:
    """Whether a file was downloaded before, and is still what was downloaded."""
    if not local.exists() or local.stat().st_size != item.bytes:
        return False
    state = local_state(local)
    if not CHECKED.knows(str(local), state, item.sha256, item.bytes):
        if hash_file(local) != item.sha256:
            return False
        CHECKED.remember(str(local), state, item.sha256, item.bytes)
    return True


def _opened(raw: bytes, ref: ArtifactRef, stage_of: StageOf) -> Manifest | DamagedError:
    try:
        return Manifest.from_bytes(raw, ref, stage_of)
    except DamagedError as error:
        return error
