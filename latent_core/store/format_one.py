"""Manifests of format 1, which name parents by their fingerprints alone. Read here, and written nowhere any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from latent_core.store.reference import Reference

StageOf = Callable[[str], str | None]
"""The stage of the stored artifact with a fingerprint; None when the store has none."""


def references(parents: Mapping[str, str], stage_of: StageOf) -> dict[str, Reference]:
    """The parents of a manifest of format 1 as format 2 has them."""
    return {role: _Found(fingerprint, stage_of) for role, fingerprint in parents.items()}


class _Found(Reference):
    """Its stage is looked up in the store when it is first needed; a parent that is gone seems to be from outside."""

    def __init__(self, fingerprint: str, stage_of: StageOf) -> None:
        super().__init__(None, fingerprint)
        self._stage_of = stage_of

    @cached_property
    def _found(self) -> str | None:
        return self._stage_of(self.fingerprint)

    @property
    def stage(self) -> str | None:
        return self._found
