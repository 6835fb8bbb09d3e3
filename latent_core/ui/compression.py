"""Compression for the page: a text is scored once, and every ratio after that is arithmetic on the kept scores."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from latent_core.compress.alignment import Alignment, align
from latent_core.compress.baselines import Compressor
from latent_core.compress.lengths import TokenCounter
from latent_core.compress.scored import CompressedText, ScoredText
from latent_core.compress.selection import PAPER_SELECTION, SelectionOptions, compressed_text, kept_words
from latent_core.errors import InputError

MAX_CHARACTERS = 20_000  # about ten windows of the encoder: a second or two on one core
REMEMBERED_TEXTS = 256  # at most 20,000 characters each: some 100 MB when all are that long


@dataclass(frozen=True)
class CompressionView:
    """A text at one ratio, with what the page shows of it; `compressed` has its target tokens counted."""

    ratio: float
    alignment: Alignment
    compressed: CompressedText

    @property
    def encoder_share(self) -> float:
        """Kept share of the encoder's tokens; 1 for a text that has none."""
        before = self.compressed.encoder_tokens_before
        return self.compressed.encoder_tokens_after / before if before else 1.0

    @property
    def target_share(self) -> float:
        """Kept share of the target model's tokens."""
        share = self.compressed.achieved_ratio
        return 1.0 if share is None else share


class CompressionCache:
    """Scores texts with `compressor` (which must score spans of the source) and counts tokens with `count_target`.

    Usable from many threads. `passes` counts the texts that the encoder has read so far.
    """

    def __init__(self, compressor: Compressor, count_target: TokenCounter, *, capacity: int = REMEMBERED_TEXTS) -> None:
        self._compressor = compressor
        self._capacity = capacity
        self._known: OrderedDict[str, ScoredText] = OrderedDict()
        self._encoder = threading.Lock()
        self.count_target = count_target
        self.passes = 0

    def scored(self, text: str) -> ScoredText:
        """The text's word scores: one encoder pass the first time, none while it is remembered.

        Raises InputError for a text without words, or of more than MAX_CHARACTERS characters.
        """
        if not text.strip():
            raise InputError("text: it is empty; write or choose a chain of thought first")
        if len(text) > MAX_CHARACTERS:
            raise InputError(
                f"text: {len(text):,} characters; the page takes at most {MAX_CHARACTERS:,}, so shorten it"
            )
        with self._encoder:  # a second request for the same text waits for the first one's scores
            known = self._known.get(text)
            if known is None:
                known = self._compressor.score_words([text])[0]
                self.passes += 1
                self._known[text] = known
                while len(self._known) > self._capacity:
                    self._known.popitem(last=False)
            self._known.move_to_end(text)
            return known

    def view(self, text: str, ratio: float, options: SelectionOptions = PAPER_SELECTION) -> CompressionView:
        """`text` compressed to `ratio`. Raises InputError as `scored` and `select` do."""
        return self.view_of(self.scored(text), ratio, options)

    def view_of(self, scored: ScoredText, ratio: float, options: SelectionOptions = PAPER_SELECTION) -> CompressionView:
        """The same for a text that is scored already: no encoder pass."""
        kept = kept_words(scored, ratio, options, count_target=self.count_target)
        return CompressionView(ratio, align(scored, kept), compressed_text(scored, ratio, kept, self.count_target))

    def views(
        self, text: str, ratios: Sequence[float], options: SelectionOptions = PAPER_SELECTION
    ) -> list[CompressionView]:
        """One view a ratio, from one encoder pass."""
        scored = self.scored(text)
        return [self.view_of(scored, ratio, options) for ratio in ratios]
