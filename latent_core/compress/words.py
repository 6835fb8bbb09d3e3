"""How encoder tokens become words and words become text again, as in LLMLingua-2 (llmlingua 0.2.2, `utils.py`)."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_DIGIT = re.compile(r"\d")
_WORDPIECE_PREFIX = "##"
_METASPACE = "▁"
_REMEMBERED_WORDS = 65_536  # a corpus repeats a few thousand words, and cleaning one is most of joining it
# The replacements of the `tokenizers` library's WordPiece decoder, which it applies token by token.
_CLEANUP = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" do not", " don't"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)


class TokenFamily(StrEnum):
    """The two ways in which an encoder marks where a word begins."""

    WORDPIECE = "wordpiece"  # BERT: a continuation starts with ##
    METASPACE = "metaspace"  # XLM-R: a beginning starts with ▁


class TokenToWord(StrEnum):
    """How a word's probability follows from those of its tokens."""

    MEAN = "mean"
    FIRST = "first"


@dataclass(frozen=True)
class MergedWords:
    """The words of one chunk.

    `keep_probability` is float32, shape (words,). `wide` says that some word was forced in all its tokens: the
    reference then computes its percentiles in float64 instead of float32, which can decide a tie.
    """

    words: list[str]
    keep_probability: NDArray[np.float32]
    wide: bool


@dataclass(frozen=True)
class MergeRule:
    """Merges the tokens of a chunk into words.

    `placeholders` maps every force token that the tokenizer would split to the single added token that stands for it
    while the encoder reads the text. Tokens in `skipped` (the tokenizer's special tokens, so also its unknown token)
    belong to no word: the reference loses them, and so do we.
    """

    family: TokenFamily
    skipped: frozenset[str] = frozenset()
    force_tokens: frozenset[str] = frozenset()
    placeholders: Mapping[str, str] = field(default_factory=dict)
    force_reserve_digit: bool = False
    token_to_word: TokenToWord = TokenToWord.MEAN

    def begins_word(self, token: str) -> bool:
        """Whether `token` opens a new word."""
        forced = self.force_tokens
        stand_ins = self.placeholders.values()
        if self.family is TokenFamily.WORDPIECE:
            bare = self.bare(token)
            return bare in forced or bare in stand_ins or not token.startswith(_WORDPIECE_PREFIX)
        # A substring test, not a membership test: the reference asks `token in string.punctuation`.
        return token in string.punctuation or token in forced or token in stand_ins or token.startswith(_METASPACE)

    def bare(self, token: str) -> str:
        """The token without its family's mark."""
        return token.lstrip("#" if self.family is TokenFamily.WORDPIECE else _METASPACE)

    def merge(self, tokens: Sequence[str], keep_probability: NDArray[np.float32]) -> MergedWords:
        """Merge `tokens` with their probabilities (float32, shape (tokens,)) into words.

        A continuation with no word before it opens one (the reference raises IndexError there).
        """
        words: list[str] = []
        parts: list[list[np.float32 | float]] = []
        for token, probability in zip(tokens, keep_probability, strict=True):
            if token in self.skipped:
                continue
            part: np.float32 | float = probability
            bare = self.bare(token)
            opens = not words or self.begins_word(token)
            if opens:
                if bare in self.force_tokens or bare in self.placeholders.values():
                    part = 1.0
                for original, placeholder in self.placeholders.items():
                    token = token.replace(placeholder, original)
            if self.force_reserve_digit and _DIGIT.search(token):
                part = 1.0
            if opens:
                words.append(token)
                parts.append([part])
            else:
                words[-1] += bare
                parts[-1].append(part)
        merged = [self._word_probability(part) for part in parts]
        wide = any(type(probability) is float for probability in merged)
        return MergedWords(words, np.asarray(merged, dtype=np.float32), wide)

    def _word_probability(self, parts: list[np.float32 | float]) -> np.float32 | float:
        # Left-to-right additions of float32 scalars: np.mean sums pairwise and can differ in the last bit.
        return parts[0] if self.token_to_word is TokenToWord.FIRST else sum(parts) / len(parts)


def detokenize(words: Sequence[str], family: TokenFamily) -> str:
    """Join kept words exactly as the family's decoder in the `tokenizers` library does, without needing a tokenizer."""
    if family is TokenFamily.METASPACE:
        head = words[0].replace(_METASPACE, "") if words else ""
        return head + "".join(word.replace(_METASPACE, " ") for word in words[1:])
    return "".join([*map(_cleaned, words[:1]), *map(_following, words[1:])])


@lru_cache(maxsize=_REMEMBERED_WORDS)
def _following(word: str) -> str:
    """A word that is not the first, with the space before it unless it continues the last one."""
    return _cleaned(word[2:] if word.startswith(_WORDPIECE_PREFIX) else f" {word}")


def _cleaned(word: str) -> str:
    for before, after in _CLEANUP:
        word = word.replace(before, after)
    return word
