"""A model as far as its text goes: how to write prompts for it, and how to read what it writes."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from latent_core.dual.vocabulary import DualVocabulary
from latent_core.models.control_tokens import ControlTokens
from latent_core.models.family import ChatFamily, open_family
from latent_core.models.wordwise import BytewiseDecoder, WordwiseEncoder


@dataclass(frozen=True)
class ReadableModel:
    """What is needed to write prompts for a model and to read its output, without its weights."""

    tokenizer: Any
    family: ChatFamily
    vocabulary: DualVocabulary | None

    @classmethod
    def load(cls, model_dir: Path) -> ReadableModel:
        tokenizer, family = open_family(model_dir)
        return cls(tokenizer, family, DualVocabulary.find(model_dir))

    @cached_property
    def _encoder(self) -> WordwiseEncoder:
        return WordwiseEncoder(self.tokenizer)

    @cached_property
    def _controls(self) -> ControlTokens:
        return ControlTokens(self.tokenizer, self.family)

    @cached_property
    def _decoder(self) -> BytewiseDecoder:
        return BytewiseDecoder(self.tokenizer)

    def encode(self, text: str) -> list[int]:
        """Token ids of rendered text; its special tokens are recognised, none are added."""
        return self._encoder.encode(text)

    def encode_packed(self, text: str) -> array[int]:
        """The same as an array of int32, for rows: the cycle collector walks through lists, and not through arrays."""
        return self._encoder.encode_packed(text)

    def encode_around(self, render: Callable[[str], str], outside: str) -> array[int]:
        """Token ids of `render(outside)`, in which `outside`, a text that is not ours, becomes no control token.

        Raises InputError as `ControlTokens.encode_around` does.
        """
        return self._controls.encode_around(render, outside, self.encode_packed)

    def spells_control_token(self, text: str) -> bool:
        """Whether a text that is not ours, encoded as it is, would end a turn or a thought, or name a ratio."""
        return self._controls.is_spelled_in(text)

    def count(self, text: str) -> int:
        """How many tokens a text has."""
        return self._encoder.count(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of output ids; latent ids are read through their visible sources, think marks are kept."""
        if self.vocabulary is not None:
            return self.vocabulary.decode(list(ids), self.tokenizer, skip_special_tokens=False)
        return self._decoder.decode(ids)

    def latent_count(self, ids: Sequence[int]) -> int:
        return 0 if self.vocabulary is None else int(self.vocabulary.is_latent(list(ids)).sum())
