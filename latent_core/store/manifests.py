"""The manifests below a root: what has a sealed one exists, nothing else does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from latent_core.errors import InputError
from latent_core.store.format_one import StageOf
from latent_core.store.known import KnownManifests
from latent_core.store.layout import MANIFEST, ArtifactRef, manifest_address
from latent_core.store.manifest import DamagedError, Manifest
from latent_core.store.remote import is_s3
from latent_core.store.root import NO_FILE, Root

_TOGETHER = 512  # manifests that are read, and remembered, together


class Manifests(Root):
    """A root of artifacts, as far as their manifests tell."""

    def uri(self, ref: ArtifactRef) -> str:
        return f"{self.root.rstrip('/')}/{ref.key}"

    def manifest(self, ref: ArtifactRef) -> Manifest:
        """The sealed manifest, without a look at the files; raises as `require` does."""
        try:
            raw = self.read(f"{ref.key}/{MANIFEST}")
        except OSError as error:
            if error.errno not in NO_FILE:
                raise
            raise DamagedError(f"{ref}: {MANIFEST} is no file any more ({error.strerror})") from error
        return Manifest.from_bytes(raw, ref, self.stage_of)

    def list(self, stage: str | None = None) -> Iterator[ArtifactRef]:
        """The addresses of all committed artifacts, or of one stage's, by stage and fingerprint."""
        folder = self.local_path(stage) if stage else self.local_root()
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

    def find(self, address: str, field: str = "artifact") -> ArtifactRef:
        """The committed artifact at `stage/fingerprint`, whose fingerprint may be shortened while it stays unique.

        Raises InputError, naming the `field`, when none or several match.
        """
        stage, _, start = address.partition("/")
        matches = [ref for ref in self.list(stage) if ref.fingerprint.startswith(start)]
        if len(matches) != 1:
            found = f"{len(matches)} artifacts match" if matches else "no artifact matches"
            fix = "give more digits" if matches else "`latent artifacts ls` lists them"
            raise InputError(f"{field}: {found} {address!r} in {self.root}; {fix}")
        return matches[0]

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


def _opened(raw: bytes, ref: ArtifactRef, stage_of: StageOf) -> Manifest | DamagedError:
    try:
        return Manifest.from_bytes(raw, ref, stage_of)
    except DamagedError as error:
        return error
