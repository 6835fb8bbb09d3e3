"""Compression of chains of thought: LLMLingua-2 with one encoder pass for every ratio, and baselines."""

from __future__ import annotations

from latent_core.compress.alignment import AlignedWord, Alignment, align
from latent_core.compress.answers import answer_retained
from latent_core.compress.baselines import RandomCompressor, TruncateCompressor
from latent_core.compress.choice import check_scores_texts, compressor_fingerprint, open_compressor
from latent_core.compress.compressor import MultiRatioCompressor, ScoringOptions
from latent_core.compress.cts import CtsCompressor
from latent_core.compress.groups import GroupedText, grouped, split_groups
from latent_core.compress.lengths import WordLength, cl100k_counter
from latent_core.compress.scored import CompressedText, ScoredChunk, ScoredText
from latent_core.compress.selection import SelectionOptions, compressed_text, in_units, kept_words, select
from latent_core.compress.solutions import Solutions
from latent_core.compress.surprisal_baseline import LmSurprisalCompressor
from latent_core.compress.words import TokenFamily, TokenToWord

__all__ = [
    "AlignedWord",
    "Alignment",
    "CompressedText",
    "CtsCompressor",
    "GroupedText",
    "LmSurprisalCompressor",
    "MultiRatioCompressor",
    "RandomCompressor",
    "ScoredChunk",
    "ScoredText",
    "ScoringOptions",
    "SelectionOptions",
    "Solutions",
    "TokenFamily",
    "TokenToWord",
    "TruncateCompressor",
    "WordLength",
    "align",
    "answer_retained",
    "check_scores_texts",
    "cl100k_counter",
    "compressed_text",
    "compressor_fingerprint",
    "grouped",
    "in_units",
    "kept_words",
    "open_compressor",
    "select",
    "split_groups",
]
