"""LLMLingua-2 compression of many texts at many ratios with one encoder pass (arXiv 2403.12968; llmlingua 0.2.2).

The ratio only enters after the encoder, as a percentile. So `score_words` runs the encoder once, in batches of similar
length, and `select` derives every ratio from its result. The strings equal llmlingua's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from latent_core.compress.chunks import chunk_bounds
from latent_core.compress.encoder import TokenClassifier
from latent_core.compress.lengths import CachedCounter, TokenCounter, WordLength, cl100k_counter
from latent_core.compress.scored import CompressedText, ScoredChunk, ScoredText
from latent_core.compress.selection import PAPER_SELECTION, SelectionOptions, check_ratio, select
from latent_core.compress.spans import SpacedText, average_over_units, spaced_out, split_units
from latent_core.compress.words import MergeRule, TokenFamily, TokenToWord
from latent_core.errors import InputError

_MAX_FORCE_TOKENS = 100  # llmlingua 0.2.2, `max_force_token`
_BERT_SPECIAL_TOKENS = ("[CLS]", "[SEP]", "[PAD]")
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True)
class ScoringOptions:
    """What changes the encoder's pass and the words it yields; names and defaults are llmlingua's where it has them.

    `compat_special_tokens` feeds every encoder BERT's special tokens, as llmlingua 0.2.2 does by mistake (LLMLingua
    issue 181: an XLM-R reads them as unknown); False feeds the encoder its own. `spans` scores spans of the source text
    (numbers, words, LaTeX commands, signs) instead of the encoder's words, so that nothing is lower-cased, split or
    unwrapped. `exact` runs the encoder in the reference's batch shapes: many times slower; the probabilities then
    equal the reference's to the last bit, where batches of other shapes differ by float noise of about 1e-7.

    That noise changes a string only where two words at the threshold lie closer together than it. Measured: 0 of 1,200
    strings of the packaged compressor (300 texts, 4 ratios) differed between exact and batched. Batched strings that
    differed from llmlingua's own: 0 of 4,800 for small classifiers of both families (150 GSM8K and 150 MATH solutions,
    4 ratios, with and without force options); of GSM8K solutions at 8 ratios and random weights, 1 of 1,600 for a
    6 x 384 BERT, 0 of 1,600 for such an XLM-R, 0 of 160 for a 12 x 768 BERT and for a 24 x 1,024 XLM-R. With exact=True
    none of them differed: use it where equality counts more than speed. (Weights drawn so wide that all words have
    nearly the same probability let the noise alone decide.)
    """

    force_tokens: tuple[str, ...] = ()
    force_reserve_digit: bool = False
    chunk_end_tokens: tuple[str, ...] = (".", "\n")
    token_to_word: TokenToWord = TokenToWord.MEAN
    compat_special_tokens: bool = True
    spans: bool = False
    exact: bool = False


PAPER_SCORING = ScoringOptions()


class _Row(NamedTuple):
    """One encoder row: ids of its visible tokens, special ones included, and their probabilities."""

    ids: list[int]
    keep_probability: NDArray[np.float32]


class MultiRatioCompressor:
    """Compresses texts with the token classifier in `model_dir`.

    `word_length` weighs the words: the encoder's own tokenizer (default), cl100k as llmlingua does (needs its file), or
    any function from a word to its number of tokens. `batch_tokens` bounds an encoder batch (default: 1,024 on CPU).
    Raises InputError when `model_dir` is not a complete two-label token classifier, for more than 100 force tokens, and
    for cl100k without its file.
    """

    def __init__(
        self,
        model_dir: str | os.PathLike[str],
        options: ScoringOptions = PAPER_SCORING,
        *,
        word_length: WordLength | TokenCounter = WordLength.ENCODER,
        batch_tokens: int | None = None,
        device: str | None = None,
    ) -> None:
        if len(options.force_tokens) > _MAX_FORCE_TOKENS:
            raise InputError(f"force_tokens: at most {_MAX_FORCE_TOKENS}, got {len(options.force_tokens)}")
        if batch_tokens is not None and batch_tokens < 1:
            raise InputError(f"batch_tokens: must be at least 1, got {batch_tokens}")
        encoder = TokenClassifier(model_dir, device)
        self.options = options
        self._encoder = encoder
        self._batch_tokens = batch_tokens or encoder.batch_tokens
        self._placeholders: dict[str, str] = {}
        if not options.spans:
            names = [f"[NEW{index}]" for index in range(_MAX_FORCE_TOKENS)]
            counts = [len(tokens) for tokens in encoder.tokenize(options.force_tokens)]
            forced = zip(options.force_tokens, names, counts, strict=False)
            self._placeholders = {token: name for token, name, count in forced if count != 1}
            if self._placeholders:
                encoder.add_placeholders(names)
        ends = options.chunk_end_tokens
        self._ends = frozenset(ends) | {self._placeholders[end] for end in ends if end in self._placeholders}
        self._rule = MergeRule(
            encoder.family,
            encoder.special_tokens,
            frozenset(options.force_tokens),
            self._placeholders,
            options.force_reserve_digit,
            options.token_to_word,
        )
        tokenizer = encoder.tokenizer
        own = (tokenizer.cls_token, tokenizer.sep_token, tokenizer.pad_token)
        self._special: tuple[str, str, str] = _BERT_SPECIAL_TOKENS if options.compat_special_tokens else own
        self._count = CachedCounter(self._counter(word_length))

    def compress(
        self,
        texts: Sequence[str],
        ratios: Sequence[float],
        options: SelectionOptions = PAPER_SELECTION,
        *,
        golds: Sequence[str] | None = None,
        count_target: TokenCounter | None = None,
    ) -> list[dict[float, CompressedText]]:
        """Every text at every ratio, keyed by the ratio as given; one encoder pass in all. See `select`.

        Raises InputError, before the encoder runs, for a ratio outside (0, 1] and for what is no list of texts.
        """
        texts = _texts(texts)
        if isinstance(ratios, str) or not isinstance(ratios, Iterable):
            raise InputError(f"ratios: must be a list of numbers, got {ratios!r}")
        ratios = list(ratios)
        for ratio in ratios:
            check_ratio(ratio)
        if golds is not None and len(golds) != len(texts):
            raise InputError(f"golds: {len(golds)} answers for {len(texts)} texts; give one a text")
        answers: Sequence[str | None] = golds if golds is not None else [None] * len(texts)
        return [
            {ratio: select(scored, ratio, options, gold=gold, count_target=count_target) for ratio in ratios}
            for scored, gold in zip(self.score_words(texts), answers, strict=True)
        ]

    def score_words(self, texts: Sequence[str]) -> list[ScoredText]:
        """Keep-probability of every word of every text: the only encoder pass. The ratio plays no part.

        All windows of `texts` are held in memory, so feed a large corpus in shards.
        """
        texts = _texts(texts)
        return self._score_spans(texts) if self.options.spans else self._score_encoder_words(texts)

    def _counter(self, word_length: WordLength | TokenCounter) -> TokenCounter:
        if word_length == WordLength.CL100K:
            return cl100k_counter()
        if word_length == WordLength.ENCODER:
            return lambda word: len(self._encoder.tokenize([word])[0])
        if callable(word_length):
            return word_length
        raise InputError(f"word_length: must be encoder, cl100k or a function, got {word_length!r}")

    def _chunk_strings(self, texts: Sequence[str]) -> list[list[str]]:
        replaced = list(texts)
        for original, placeholder in self._placeholders.items():
            replaced = [text.replace(original, placeholder) for text in replaced]
        to_string = self._encoder.tokenizer.convert_tokens_to_string
        return [
            [to_string(tokens[start:stop]) for start, stop in chunk_bounds(tokens, self._ends, self._encoder.window)]
            for tokens in self._encoder.tokenize(replaced)
        ]

    def _score_encoder_words(self, texts: Sequence[str]) -> list[ScoredText]:
        # The reference turns each chunk back into text and tokenizes that again; the two can differ.
        strings = self._chunk_strings(texts)
        owners = [index for index, chunks in enumerate(strings) for _ in chunks]
        windows = self._encoder.tokenize([chunk for chunks in strings for chunk in chunks])
        chunks: list[list[ScoredChunk]] = [[] for _ in texts]
        for owner, row in zip(owners, self._probabilities(windows, owners, self._special[2]), strict=True):
            merged = self._rule.merge(self._encoder.tokenizer.convert_ids_to_tokens(row.ids), row.keep_probability)
            words = tuple(merged.words)
            chunks[owner].append(ScoredChunk(words, merged.keep_probability, self._lengths(words), merged.wide))
        return [ScoredText(text, tuple(own), self._encoder.family) for text, own in zip(texts, chunks, strict=True)]

    def _score_spans(self, texts: Sequence[str]) -> list[ScoredText]:
        units = [split_units(text) for text in texts]
        read = [self._words_apart(text, own) for text, own in zip(texts, units, strict=True)]
        encodings = self._encoder.encodings([spelt.text for spelt in read])
        # One token fewer than the reference's chunk, so that no source token falls to the truncation.
        tokens = [encoding.tokens for encoding in encodings]  # made anew, as a whole, each time it is asked for
        bounds = [list(chunk_bounds(own, self._ends, self._encoder.window - 1)) for own in tokens]
        owners = [index for index, own in enumerate(bounds) for _ in own]
        windows = [tokens[i][start:stop] for i, own in enumerate(bounds) for start, stop in own]
        rows = self._probabilities(windows, owners, None)
        of_text: list[list[NDArray[np.float32]]] = [[] for _ in texts]
        for owner, row in zip(owners, rows, strict=True):
            of_text[owner].append(row.keep_probability[1:-1])  # without the special tokens
        return [
            ScoredText(text, self._span_chunks(text, spans, spelt.places(encoding.offsets), own, probabilities), None)
            for text, spans, spelt, encoding, own, probabilities in zip(
                texts, units, read, encodings, bounds, of_text, strict=True
            )
        ]

    def _words_apart(self, text: str, units: NDArray[np.int64]) -> SpacedText:
        """What the encoder reads: WordPiece knows a word by the spaces around it.

        It would take a sentence without any for one unknown word, and all words of it would score alike.
        """
        if self._encoder.family is TokenFamily.WORDPIECE:
            return spaced_out(text, units)
        return SpacedText(text)

    def _span_chunks(
        self,
        text: str,
        spans: NDArray[np.int64],
        tokens: NDArray[np.int64],
        windows: Sequence[tuple[int, int]],
        probabilities: Sequence[NDArray[np.float32]],
    ) -> tuple[ScoredChunk, ...]:
        """The units `spans` of `text`, each in the window that reads its first token, scored over all its tokens."""
        if not windows:
            return ()
        units = average_over_units(spans, tokens, np.concatenate(probabilities))
        words = [text[start:end] for start, end in spans.tolist()]
        forced = np.fromiter((self._is_forced(word) for word in words), np.bool_, len(words))
        scores = np.where(forced, np.float32(1.0), units.mean)
        cuts = np.searchsorted(units.first_token, [start for start, _ in windows[1:]])
        lengths = self._lengths(words)
        edges = [0, *cuts.tolist(), len(words)]
        return tuple(
            ScoredChunk(tuple(words[a:b]), scores[a:b], lengths[a:b], bool(forced[a:b].any()), spans[a:b])
            for a, b in pairwise(edges)
        )

    def _is_forced(self, unit: str) -> bool:
        return unit in self._rule.force_tokens or (self.options.force_reserve_digit and bool(_DIGIT.search(unit)))

    def _probabilities(self, windows: Sequence[Sequence[str]], owners: Sequence[int], hidden: str | None) -> list[_Row]:
        """Encode windows of tokens; a token that reads `hidden` is masked, as the reference masks a literal [PAD]."""
        if not windows:
            return []
        opening, closing, padding = self._special
        convert = self._encoder.tokenizer.convert_tokens_to_ids
        ids, visible = [], []
        for window in windows:
            tokens = [opening, *window, closing][: self._encoder.window]
            ids.append(convert(tokens))
            visible.append(np.asarray([token != hidden for token in tokens], dtype=np.bool_))
        pad_id = convert(padding)
        if self.options.exact:
            results = self._encoder.keep_probabilities_as_reference(ids, visible, pad_id, owners)
        else:
            results = self._encoder.keep_probabilities(ids, visible, pad_id, self._batch_tokens)
        return [
            _Row([token_id for token_id, seen in zip(row, mask, strict=True) if seen], probability)
            for row, mask, probability in zip(ids, visible, results, strict=True)
        ]

    def _lengths(self, words: Sequence[str]) -> NDArray[np.int64]:
        return np.fromiter((self._count(word) for word in words), dtype=np.int64, count=len(words))


def _texts(texts: Iterable[str]) -> list[str]:
    """The texts as a list. A string is a sequence of strings too, but nobody wants its letters compressed."""
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        raise InputError(f"texts: must be a list of texts, got a {type(texts).__name__}")
    found = list(texts)
    for place, text in enumerate(found):
        if not isinstance(text, str):
            raise InputError(f"texts: number {place} is a {type(text).__name__}, not a text")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"texts: number {place} is not valid Unicode ({error.reason}); decode it again") from error
    return found
