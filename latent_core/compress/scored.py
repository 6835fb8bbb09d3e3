"""What the two halves of compression exchange: scored texts (the encoder's pass, no ratio) and compressed texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latent_core.compress.words import TokenFamily


@dataclass(frozen=True, eq=False)
class ScoredChunk:
    """One window of the encoder: its words in order, shape (words,) throughout.

    `lengths` are tokens of the word-length counter. `spans` are [start, end) character offsets in the source text,
    shape (words, 2), when the words are spans of it; else None. `wide`: see `words.MergedWords`.
    """

    words: tuple[str, ...]
    keep_probability: NDArray[np.float32]
    lengths: NDArray[np.int64]
    wide: bool = False
    spans: NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class ScoredText:
    """A text with the keep-probability of its every word: all that any ratio needs.

    `family` says how kept words are joined; None when they are spans of `text`.
    """

    text: str
    chunks: tuple[ScoredChunk, ...]
    family: TokenFamily | None

    @property
    def tokens(self) -> int:
        """Sum of the words' lengths."""
        return int(sum(chunk.lengths.sum() for chunk in self.chunks))

    def to_row(self) -> dict[str, Any]:
        """Columns of plain values for Parquet: one inner list a chunk; `starts` and `ends` are empty without spans."""
        spans = [[] if chunk.spans is None else chunk.spans.tolist() for chunk in self.chunks]
        return {
            "text": self.text,
            "family": None if self.family is None else self.family.value,
            "words": [list(chunk.words) for chunk in self.chunks],
            "keep_probability": [chunk.keep_probability.tolist() for chunk in self.chunks],
            "lengths": [chunk.lengths.tolist() for chunk in self.chunks],
            "wide": [chunk.wide for chunk in self.chunks],
            "starts": [[start for start, _ in chunk] for chunk in spans],
            "ends": [[end for _, end in chunk] for chunk in spans],
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ScoredText:
        """Rebuild from `to_row`'s columns; float32 survives the way through Python floats exactly."""
        family = None if row["family"] is None else TokenFamily(row["family"])
        columns = ("words", "keep_probability", "lengths", "wide", "starts", "ends")
        chunks = []
        for words, probability, lengths, wide, starts, ends in zip(*(row[name] for name in columns), strict=True):
            spans = None if family is not None else np.asarray([starts, ends], dtype=np.int64).T.reshape(-1, 2)
            chunks.append(
                ScoredChunk(
                    tuple(words),
                    np.asarray(probability, dtype=np.float32),
                    np.asarray(lengths, dtype=np.int64),
                    bool(wide),
                    spans,
                )
            )
        return cls(row["text"], tuple(chunks), family)


@dataclass(frozen=True)
class CompressedText:
    """A text at one requested ratio.

    `encoder_tokens_before` and `encoder_tokens_after` sum the lengths of all and of the kept words, in tokens of the
    compressor's word-length counter. The counts in the target model's tokens are the caller's to fill in.
    """

    text: str
    ratio: float
    encoder_tokens_before: int
    encoder_tokens_after: int
    target_tokens_before: int | None = None
    target_tokens_after: int | None = None

    @property
    def achieved_ratio(self) -> float | None:
        """Kept share of the target model's tokens; None until they are counted, 1.0 for a text that has none."""
        if self.target_tokens_before is None or self.target_tokens_after is None:
            return None
        return self.target_tokens_after / self.target_tokens_before if self.target_tokens_before else 1.0

    def with_target_tokens(self, before: int, after: int) -> CompressedText:
        """The same compression with the target model's token counts of source and result."""
        return replace(self, target_tokens_before=before, target_tokens_after=after)
