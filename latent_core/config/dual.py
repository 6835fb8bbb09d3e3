"""Parameters of building a dual-vocabulary model."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, WIRING, StageConfig


class LatentMode(StrEnum):
    """How the latents are chosen."""

    FULL_COPY = "full_copy"
    SUBSET = "subset"
    CUSTOM = "custom"


class Initial(StrEnum):
    """What latent rows start as."""

    COPY = "copy"  # the row of their own source
    PERMUTED = "permuted"  # the row of another latent's source, never their own


class DualBuildConfig(StageConfig):
    """How the dual-vocabulary model is made from the base."""

    mode: Annotated[LatentMode, IDENTITY] = LatentMode.FULL_COPY
    """Which tokens get a latent: all, a subset (say which by one of the next three), or texts of one's own."""
    pattern: Annotated[str | None, IDENTITY] = None
    """subset: a regular expression on the decoded text of tokens; those that match get a latent."""
    seen_at_least: Annotated[int | None, IDENTITY, Field(ge=1)] = None
    """subset: mirror the tokens that occur this often in the run's correct chains of thought and compressions."""
    ids_file: Annotated[str | None, WIRING] = None
    """subset: a file of token ids, a JSON list or one a line; it enters the identity by its content."""
    tokens_file: Annotated[str | None, WIRING] = None
    """custom: a file of token texts, a JSON list or one a line; it enters the identity by its content."""
    embeddings_file: Annotated[str | None, WIRING] = None
    """custom: embedding rows of the tokens, .npy or .safetensors (tensor "embeddings"); by content as well."""
    think_missing: Annotated[Literal["error", "add", "clone_eos"], IDENTITY] = "error"
    """What to do when the base has no think tokens: refuse, add them near the mean row, or near the end-of-turn row."""
    seed: Annotated[int, IDENTITY, Field(ge=0)] = 0
    initial: Annotated[Initial, IDENTITY, OMITTED_AT_DEFAULT] = Initial.COPY
    """What latent rows start as: copies of their sources' rows, or, as a control, of another token's, by a permutation
    that dual.seed draws. What a latent stands for stays as it is."""

    @field_validator("pattern")
    @classmethod
    def _pattern_is_one(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"is not a regular expression ({error}); fix it") from error
        return pattern

    @model_validator(mode="after")
    def _mode_has_what_it_needs(self) -> DualBuildConfig:
        choices = {
            LatentMode.FULL_COPY: (),
            LatentMode.SUBSET: ("pattern", "seen_at_least", "ids_file"),
            LatentMode.CUSTOM: ("tokens_file",),
        }
        extras = {LatentMode.CUSTOM: {"embeddings_file"}}.get(self.mode, set())
        optional = {"pattern", "seen_at_least", "ids_file", "tokens_file", "embeddings_file"}
        given = {name for name in optional if getattr(self, name) is not None}
        wanted = choices[self.mode]
        for name in sorted(given - set(wanted) - extras):
            raise ValueError(f"dual.{name}: mode {self.mode.value!r} does not take it; drop it or change dual.mode")
        if wanted and len(given & set(wanted)) != 1:
            raise ValueError(f"dual.mode: {self.mode.value!r} needs exactly one of {', '.join(wanted)}")
        if self.initial is Initial.PERMUTED and self.mode is LatentMode.CUSTOM:
            raise ValueError("dual.initial: permuted moves copies, but mode 'custom' makes rows of its own; drop one")
        return self
