"""Names inside a store root: `{stage}/{fingerprint}/manifest.json` and the attempt folders beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from latent_core.errors import InputError

MANIFEST = "manifest.json"
PROBE = ".probe-"  # with a random name behind it: a file by which a run finds out whether it may write
RESULTS = ".prefect"  # a folder of what tasks return, for whoever asks the workflow engine; no stage's name has a dot
_STAGE = re.compile(r"[a-z][a-z0-9_]*")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ArtifactRef:
    """The address of an artifact, whether it exists or not: small enough for a workflow engine to pass around."""

    stage: str
    fingerprint: str

    def __post_init__(self) -> None:
        if not _STAGE.fullmatch(self.stage):
            raise InputError(f"stage: {self.stage!r} must be lower-case letters, digits and underscores")
        if not _FINGERPRINT.fullmatch(self.fingerprint):
            raise InputError(f"fingerprint: {self.fingerprint!r} must be 64 lower-case hex digits")

    @property
    def key(self) -> str:
        """Path below the root."""
        return f"{self.stage}/{self.fingerprint}"

    def __str__(self) -> str:
        return f"{self.stage}/{self.fingerprint[:12]}"


def manifest_address(key: str) -> ArtifactRef | None:
    """The address of the artifact whose manifest lies at `key`; None for any other file."""
    stage, _, rest = key.partition("/")
    fingerprint, _, name = rest.partition("/")
    if name != MANIFEST or not _STAGE.fullmatch(stage) or not _FINGERPRINT.fullmatch(fingerprint):
        return None
    return ArtifactRef(stage, fingerprint)


def check_relative(path: str) -> str:
    """Return `path` if it stays inside its folder; raise InputError for absolute paths, `..` and empty parts."""
    parts = path.split("/")
    if path.startswith("/") or "\\" in path or any(part in ("", ".", "..") for part in parts):
        raise InputError(f"path: {path!r} must be relative, with no empty, '.' or '..' part")
    return path
