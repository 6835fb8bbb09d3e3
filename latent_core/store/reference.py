"""What an artifact was made from, as its manifest names it."""

from __future__ import annotations

from latent_core.store.layout import ArtifactRef


class Reference:
    """A parent: an artifact, by its stage and fingerprint, or something from outside, by its fingerprint alone.

    From outside come models, problems, files and compressors that no stage made; their `stage` is None.
    """

    def __init__(self, stage: str | None, fingerprint: str) -> None:
        """Raises InputError for a malformed address of an artifact."""
        if stage is not None:
            ArtifactRef(stage, fingerprint)
        self._stage = stage
        self.fingerprint = fingerprint

    @property
    def stage(self) -> str | None:
        return self._stage

    @property
    def ref(self) -> ArtifactRef | None:
        """The address of the artifact; None for what came from outside."""
        return None if self.stage is None else ArtifactRef(self.stage, self.fingerprint)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reference):
            return NotImplemented
        return (self.stage, self.fingerprint) == (other.stage, other.fingerprint)

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"Reference({self.stage!r}, {self.fingerprint!r})"
