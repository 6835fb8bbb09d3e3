"""Why a compression does not keep exactly the requested share: each cause computed on the text at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from latent_core.compress.lengths import CachedCounter
from latent_core.compress.scored import ScoredChunk, ScoredText
from latent_core.compress.selection import (
    SelectionOptions,
    kept_words,
    probability_threshold,
    threshold_percentile,
)
from latent_core.compress.spans import is_number, is_operator
from latent_core.config.compress import RatioOf
from latent_core.ui.compression import CompressionCache, CompressionView

SWEEP = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
NUMBERS_KEPT = SelectionOptions(keep_numbers=True, keep_operators=True)
SOLVED = SelectionOptions(ratio_of=RatioOf.TARGET_TOKENS)
_SHOWN_WORDS = 8


@dataclass(frozen=True)
class Threshold:
    """One window's rule at one ratio; shares are of the window's encoder tokens."""

    ratio: float
    percentile: int
    value: float
    kept_share: float
    on_threshold: tuple[str, ...]
    """Words whose probability equals the threshold: not above it, so dropped."""


@dataclass(frozen=True)
class Window:
    """What the rule does in one window of the encoder, beside what one threshold over all windows would keep there."""

    tokens: int
    value: float
    kept_share: float
    share_of_one_threshold: float
    other_words: int
    """Words of this window on which the two disagree."""


@dataclass(frozen=True)
class WordLengths:
    """How many tokens a word costs the encoder and the target model."""

    word: str
    kept: bool
    encoder: int
    target: int


@dataclass(frozen=True)
class TokenizerMismatch:
    """The same kept words counted by two tokenizers; `*_per_encoder_token` are target tokens per encoder token."""

    view: CompressionView
    kept_per_encoder_token: float
    dropped_per_encoder_token: float
    words: tuple[WordLengths, ...]
    """Those whose two lengths differ most."""


@dataclass(frozen=True)
class Bias:
    """How far every ratio of the sweep is missed; `floor` is the share of the encoder's tokens that must stay."""

    deviations: tuple[Deviation, ...]
    floor: float


@dataclass(frozen=True)
class Deviation:
    """Kept share minus request, at one ratio."""

    ratio: float
    encoder: float
    target: float
    numbers_kept: float
    """In encoder tokens, with numbers and signs always kept."""


def thresholds(scored: ScoredText, ratios: tuple[float, ...]) -> list[Threshold]:
    """The first window's threshold at each ratio, all below 1; empty for a text without words."""
    if not scored.tokens:
        return []
    window = next(chunk for chunk in scored.chunks if chunk.lengths.sum())
    alone = replace(scored, chunks=(window,))
    return [_threshold(alone, window, ratio) for ratio in ratios]


def windows(scored: ScoredText, ratio: float) -> list[Window]:
    """Every window that has words; several only for a text longer than the encoder reads at once."""
    chunks = tuple(chunk for chunk in scored.chunks if chunk.lengths.sum())
    if not chunks:
        return []
    kept = kept_words(replace(scored, chunks=chunks), ratio)
    one = kept_words(replace(scored, chunks=(_joined(chunks),)), ratio)[0]
    edges = np.cumsum([len(chunk.words) for chunk in chunks])[:-1]
    return [
        Window(
            int(chunk.lengths.sum()),
            float(probability_threshold(chunk.keep_probability, chunk.lengths, ratio)),
            _share(chunk, mask),
            _share(chunk, other),
            int((mask != other).sum()),
        )
        for chunk, mask, other in zip(chunks, kept, np.split(one, edges), strict=True)
    ]


def mismatch(cache: CompressionCache, scored: ScoredText, ratio: float) -> TokenizerMismatch:
    """Lengths of the kept and of the dropped words, each word counted alone with the space before it."""
    view = cache.view_of(scored, ratio)
    count = CachedCounter(cache.count_target)
    lengths = [
        WordLengths(
            word.word,
            word.kept,
            word.tokens,
            count(f" {word.word}" if " " in word.gap else word.word),
        )
        for word in view.alignment.words
    ]
    differing = {item.word: item for item in lengths if item.encoder != item.target}
    shown = sorted(differing.values(), key=lambda item: (-abs(item.encoder - item.target), item.word))
    return TokenizerMismatch(view, _rate(lengths, kept=True), _rate(lengths, kept=False), tuple(shown[:_SHOWN_WORDS]))


def bias(cache: CompressionCache, scored: ScoredText) -> Bias:
    """The sweep without and with numbers and signs that are always kept."""
    found = []
    for ratio in SWEEP:
        plain, forced = cache.view_of(scored, ratio), cache.view_of(scored, ratio, NUMBERS_KEPT)
        found.append(
            Deviation(ratio, plain.encoder_share - ratio, plain.target_share - ratio, forced.encoder_share - ratio)
        )
    floor = sum(
        int(length)
        for chunk in scored.chunks
        for word, length in zip(chunk.words, chunk.lengths, strict=True)
        if is_number(word) or is_operator(word)
    )
    return Bias(tuple(found), floor / scored.tokens if scored.tokens else 0.0)


def _threshold(scored: ScoredText, window: ScoredChunk, ratio: float) -> Threshold:
    value = float(probability_threshold(window.keep_probability, window.lengths, ratio))
    on = tuple(word for word, p in zip(window.words, window.keep_probability.tolist(), strict=True) if p == value)
    kept = kept_words(scored, ratio)[0]
    return Threshold(ratio, threshold_percentile(ratio), value, _share(window, kept), on)


def _joined(chunks: tuple[ScoredChunk, ...]) -> ScoredChunk:
    spans = [chunk.spans for chunk in chunks if chunk.spans is not None]
    return ScoredChunk(
        tuple(word for chunk in chunks for word in chunk.words),
        np.concatenate([chunk.keep_probability for chunk in chunks]),
        np.concatenate([chunk.lengths for chunk in chunks]),
        any(chunk.wide for chunk in chunks),
        np.concatenate(spans),
    )


def _share(chunk: ScoredChunk, kept: NDArray[np.bool_]) -> float:
    return float(chunk.lengths[kept].sum() / chunk.lengths.sum())


def _rate(lengths: list[WordLengths], kept: bool) -> float:
    encoder = sum(item.encoder for item in lengths if item.kept == kept)
    return sum(item.target for item in lengths if item.kept == kept) / encoder if encoder else 0.0
