"""Baselines that every learned compressor must beat: dropping words at random, and cutting the end off.

They score words (what stands between whitespace; in scripts without spaces what `clusters` finds) without a model and
share `select` with the rest, so that ratios, target tokens and accounting mean the same. `surprisal_baseline` and `cts`
have those that ask a language model.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from latent_core.compress.clusters import cut, is_plain
from latent_core.compress.lengths import TokenCounter
from latent_core.compress.scored import CompressedText, ScoredChunk, ScoredText
from latent_core.compress.selection import PAPER_SELECTION, SelectionOptions, check_ratio, select
from latent_core.compress.solutions import Solutions

_WORD = re.compile(r"\S+")


class Compressor(Protocol):
    """What every compressor offers: scores without a ratio, and compressed texts per ratio."""

    def score_words(self, texts: Sequence[str]) -> list[ScoredText]: ...

    def compress(self, texts: Sequence[str], ratios: Sequence[float]) -> list[dict[float, CompressedText]]: ...


@runtime_checkable
class SolutionCompressor(Protocol):
    """What a compressor offers that scores a text by its question and its answer."""

    def score_solutions(self, solutions: Solutions) -> list[ScoredText]: ...


class BaselineCompressor(ABC):
    """Scores spans of the source text; a span weighs 1 unless `count_tokens` says otherwise."""

    def __init__(self, count_tokens: TokenCounter | None = None) -> None:
        self._count = count_tokens

    @abstractmethod
    def score_words(self, texts: Sequence[str]) -> list[ScoredText]:
        """Keep-probability of every span, ratio-free; see `ScoredText`."""

    def compress(
        self,
        texts: Sequence[str],
        ratios: Sequence[float],
        options: SelectionOptions = PAPER_SELECTION,
        *,
        count_target: TokenCounter | None = None,
    ) -> list[dict[float, CompressedText]]:
        """Every text at every ratio, keyed by the ratio as given. See `select`."""
        for ratio in ratios:
            check_ratio(ratio)
        return [
            {ratio: select(scored, ratio, options, count_target=count_target) for ratio in ratios}
            for scored in self.score_words(texts)
        ]

    def _scored(
        self,
        text: str,
        spans: NDArray[np.int64],
        keep_probability: NDArray[np.float32],
        words: Sequence[str] | None = None,
    ) -> ScoredText:
        """One chunk of `spans` (shape (n, 2)) with their probabilities (shape (n,)); `words` where they are at hand."""
        words = tuple([text[start:end] for start, end in spans.tolist()] if words is None else words)
        if self._count is None:
            lengths = np.ones(len(words), dtype=np.int64)
        else:
            lengths = np.fromiter(map(self._count, words), np.int64, len(words))
        chunk = ScoredChunk(words, keep_probability, lengths, False, spans)
        return ScoredText(text, (chunk,) if words else (), None)


def _words(text: str) -> tuple[list[str], NDArray[np.int64]]:
    """Every word, and [start, end) of each, shape (words, 2)."""
    words = text.split()
    if not is_plain(text) or " ".join(words) != text:
        spans = cut(text, _WORD)
        return [text[start:end] for start, end in spans], np.asarray(spans, dtype=np.int64).reshape(-1, 2)
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    ends = np.cumsum(lengths + 1) - 1
    return words, np.column_stack([ends - lengths, ends])


class _WordCompressor(BaselineCompressor):
    """Scores words from the text alone."""

    def score_words(self, texts: Sequence[str]) -> list[ScoredText]:
        """Keep-probability of every word, ratio-free; see `ScoredText`."""
        results = []
        for text in texts:
            words, spans = _words(text)
            results.append(self._scored(text, spans, self._keep_probability(text, len(words)), words))
        return results

    @abstractmethod
    def _keep_probability(self, text: str, words: int) -> NDArray[np.float32]:
        """Of each of the text's words, shape (words,)."""


class RandomCompressor(_WordCompressor):
    """Keeps words at random, the same ones for the same (seed, text) in any batch and process.

    A larger ratio keeps a superset of a smaller one's words.
    """

    def __init__(self, seed: int, count_tokens: TokenCounter | None = None) -> None:
        super().__init__(count_tokens)
        self._seed = seed

    def _keep_probability(self, text: str, words: int) -> NDArray[np.float32]:
        digest = hashlib.sha256(f"{self._seed}\n{text}".encode()).digest()
        generator = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        # A permutation instead of uniform draws: float32 draws can tie.
        return ((generator.permutation(words) + 1) / (words + 1)).astype(np.float32)


class TruncateCompressor(_WordCompressor):
    """Keeps the beginning of a text."""

    def _keep_probability(self, text: str, words: int) -> NDArray[np.float32]:
        return ((words - np.arange(words)) / (words + 1)).astype(np.float32)
