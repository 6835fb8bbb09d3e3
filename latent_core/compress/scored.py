"""What the two halves of compression exchange: scored texts (the encoder's pass, no ratio) and compressed texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latent_core.compress.words import TokenFamily

if TYPE_CHECKING:
    import pyarrow as pa


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

    @cached_property
    def ordered_probability(self) -> NDArray[np.float32]:
        """The words' probabilities, each once a token, from the lowest to the highest; the same for every ratio."""
        return np.sort(np.repeat(self.keep_probability, self.lengths))


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

    @cached_property
    def spaced_words(self) -> tuple[str, ...] | None:
        """The words if they are spans of a text that has one space between any two of them and nothing else."""
        spans = [chunk.spans for chunk in self.chunks if chunk.spans is not None and len(chunk.spans)]
        if self.family is not None or not spans:
            return None
        words = self.chunks[0].words if len(self.chunks) == 1 else sum((chunk.words for chunk in self.chunks), ())
        covered = self.text[spans[0][0, 0] : spans[-1][-1, 1]]
        return words if " ".join(words) == covered and "\n" not in covered else None

    def to_row(self) -> dict[str, Any]:
        """Columns for Parquet: one tuple (vector of numbers) a chunk; `starts` and `ends` are empty without spans."""
        none = np.zeros((0, 2), dtype=np.int32)
        spans = [none if chunk.spans is None else chunk.spans.astype(np.int32) for chunk in self.chunks]
        return {
            "text": self.text,
            "family": None if self.family is None else self.family.value,
            "words": tuple(chunk.words for chunk in self.chunks),
            "keep_probability": tuple(chunk.keep_probability for chunk in self.chunks),
            "lengths": tuple(chunk.lengths.astype(np.int32) for chunk in self.chunks),
            "wide": tuple(chunk.wide for chunk in self.chunks),
            "starts": tuple(chunk[:, 0] for chunk in spans),
            "ends": tuple(chunk[:, 1] for chunk in spans),
        }

    @classmethod
    def of_batch(cls, batch: pa.RecordBatch) -> Iterator[ScoredText]:
        """Rebuild the texts of a batch of `to_row`'s columns; numbers are views of the batch's own."""
        words, of_word = _opened(batch["words"].flatten())
        probabilities, of_probability = _opened(batch["keep_probability"].flatten())
        lengths, of_length = _opened(batch["lengths"].flatten())
        starts, of_span = _opened(batch["starts"].flatten())
        ends = batch["ends"].flatten().flatten()
        units, probability = words.to_numpy(zero_copy_only=False).tolist(), probabilities.to_numpy()
        length = lengths.to_numpy().astype(np.int64)
        spans = np.stack([starts.to_numpy(), ends.to_numpy()], axis=1).astype(np.int64)
        wide, of_text = batch["wide"].flatten().to_pylist(), _bounds(batch["wide"])
        texts, families = batch["text"].to_pylist(), batch["family"].to_pylist()
        for text, family, (first, last) in zip(texts, families, pairwise(of_text), strict=True):
            chunks = tuple(
                ScoredChunk(
                    tuple(units[of_word[place] : of_word[place + 1]]),
                    probability[of_probability[place] : of_probability[place + 1]],
                    length[of_length[place] : of_length[place + 1]],
                    wide[place],
                    spans[of_span[place] : of_span[place + 1]] if family is None else None,
                )
                for place in range(first, last)
            )
            yield cls(text, chunks, None if family is None else TokenFamily(family))


def _opened(column: pa.Array) -> tuple[pa.Array, list[int]]:
    """What the lists of a column hold, one after another, and the places at which each begins and the last ends."""
    return column.flatten(), _bounds(column)


def _bounds(column: pa.Array) -> list[int]:
    bounds = column.offsets.to_numpy()
    places: list[int] = (bounds - bounds[0]).tolist()
    return places


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
