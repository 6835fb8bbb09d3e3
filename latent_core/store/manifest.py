"""The manifest: what an artifact holds. Its `content` is the same for every run of the same work, byte for byte on a
deterministic engine; its `record` (attempt, times, machine) is not. A seal over both refuses edits by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from latent_core.errors import InputError
from latent_core.identity import canonical_json
from latent_core.store import format_one
from latent_core.store.layout import ArtifactRef, check_relative
from latent_core.store.reference import Reference

FORMAT = 2


class DamagedError(InputError):
    """An artifact exists but is not whole: a file is missing, truncated or altered, or its manifest is not sealed."""


@dataclass(frozen=True)
class StoredFile:
    """One file of an artifact; `path` is relative to the attempt folder, `rows` is None for what is not a table."""

    path: str
    bytes: int
    sha256: str
    rows: int | None = None


@dataclass(frozen=True)
class ShardEntry:
    """A shard that a sharded artifact is made of, pinned by the digest of its content."""

    stage: str
    fingerprint: str
    content_sha256: str
    rows: int

    @property
    def ref(self) -> ArtifactRef:
        return ArtifactRef(self.stage, self.fingerprint)


@dataclass(frozen=True)
class Content:
    """The reproducible part of a manifest.

    `accounting` maps each reason to a row count: "kept" and every reason for which an input row is not in the output.
    """

    stage: str
    stage_version: int
    fingerprint: str
    identity: dict[str, Any]
    parents: Mapping[str, Reference]
    files: tuple[StoredFile, ...]
    shards: tuple[ShardEntry, ...] = ()
    rows: int = 0
    accounting: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def sha256(self) -> str:
        """The digest that pins a shard, over parents as format 1 has them: formats do not tell equal work apart."""
        fingerprints = {role: parent.fingerprint for role, parent in self.parents.items()}
        return hashlib.sha256(canonical_json(self._with(fingerprints)).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return self._with(
            {role: {"stage": parent.stage, "fingerprint": parent.fingerprint} for role, parent in self.parents.items()}
        )

    def _with(self, parents: Mapping[str, Any]) -> dict[str, Any]:
        return asdict(replace(self, parents={})) | {"parents": parents}


@dataclass(frozen=True)
class Manifest:
    """`record` says how this copy came to be: attempt folder, seconds, started, environment, measured rates."""

    content: Content
    record: dict[str, Any]

    @property
    def ref(self) -> ArtifactRef:
        return ArtifactRef(self.content.stage, self.content.fingerprint)

    @property
    def folder(self) -> str:
        """The key of the attempt folder that holds the files."""
        return f"{self.ref.key}/{self.record['attempt']}"

    def key(self, path: str) -> str:
        """The key of one of the files."""
        return f"{self.folder}/{check_relative(path)}"

    def to_bytes(self) -> bytes:
        body = {"format": FORMAT, "content": self.content.to_json(), "record": self.record}
        return json.dumps(body | {"seal": _seal(body)}, indent=1, sort_keys=True, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, raw: bytes, ref: ArtifactRef, stage_of: format_one.StageOf) -> Manifest:
        """Parse and check a manifest found at `ref`; raises DamagedError for anything that is not as written.

        `stage_of` finds the stages of parents that a manifest of format 1 does not name.
        """
        try:
            body: dict[str, Any] = json.loads(raw)
            seal = body.pop("seal")
            if body["format"] not in (1, FORMAT):
                raise DamagedError(
                    f"{ref}: manifest format {body['format']} is not one that this release reads (1, {FORMAT}); use a "
                    "matching release"
                )
            if seal != _seal(body):
                raise DamagedError(f"{ref}: the manifest was altered after it was written (seal does not match)")
            raw_content = body["content"]
            content = Content(
                **{
                    **raw_content,
                    "parents": _references(body, stage_of),
                    "files": tuple(StoredFile(**item) for item in raw_content["files"]),
                    "shards": tuple(ShardEntry(**item) for item in raw_content["shards"]),
                }
            )
            if (content.stage, content.fingerprint) != (ref.stage, ref.fingerprint):
                raise DamagedError(f"{ref}: the manifest belongs to {content.stage}/{content.fingerprint[:12]}")
            for item in content.files:
                check_relative(item.path)
                if not isinstance(item.bytes, int):
                    raise DamagedError(f"{ref}: the manifest gives {item.path} no size")
            check_relative(body["record"]["attempt"])
            if ref in {shard.ref for shard in content.shards}:
                raise DamagedError(f"{ref}: the manifest names the artifact as its own shard")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, DamagedError):
                raise
            raise DamagedError(f"{ref}: the manifest cannot be read ({error})") from error
        return cls(content, body["record"])


def _references(body: Mapping[str, Any], stage_of: format_one.StageOf) -> dict[str, Reference]:
    parents = body["content"]["parents"]
    if body["format"] == 1:
        return format_one.references(parents, stage_of)
    return {role: Reference(**parent) for role, parent in parents.items()}


def _seal(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(body).encode()).hexdigest()
