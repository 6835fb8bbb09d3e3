"""The manifest: what an artifact holds. Its `content` is the same for every run of the same work, byte for byte on a
deterministic engine; its `record` (attempt, times, machine) is not. A seal over both refuses edits by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from latent_core.errors import InputError
from latent_core.identity import canonical_json
from latent_core.store.layout import ArtifactRef, check_relative

FORMAT = 1


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
    parents: dict[str, str]
    files: tuple[StoredFile, ...]
    shards: tuple[ShardEntry, ...] = ()
    rows: int = 0
    accounting: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(canonical_json(asdict(self)).encode()).hexdigest()


@dataclass(frozen=True)
class Manifest:
    """`record` says how this copy came to be: attempt folder, seconds, started, environment, measured rates."""

    content: Content
    record: dict[str, Any]

    @property
    def ref(self) -> ArtifactRef:
        return ArtifactRef(self.content.stage, self.content.fingerprint)

    def to_bytes(self) -> bytes:
        body = {"format": FORMAT, "content": asdict(self.content), "record": self.record}
        return json.dumps(body | {"seal": _seal(body)}, indent=1, sort_keys=True, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, raw: bytes, ref: ArtifactRef) -> Manifest:
        """Parse and check a manifest found at `ref`; raises DamagedError for anything that is not as written."""
        try:
            body: dict[str, Any] = json.loads(raw)
            seal = body.pop("seal")
            if body["format"] != FORMAT:
                raise DamagedError(f"{ref}: manifest format {body['format']} is not {FORMAT}; use a matching release")
            if seal != _seal(body):
                raise DamagedError(f"{ref}: the manifest was altered after it was written (seal does not match)")
            raw_content = body["content"]
            content = Content(
                **{
                    **raw_content,
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


def _seal(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(body).encode()).hexdigest()
