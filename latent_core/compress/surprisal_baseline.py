"""Selective-Context (arXiv 2310.06201) as a baseline: drop what a causal language model expected most.

The paper's self-information is that of the text alone, so no question stands before it. Its units are words, phrases or
sentences; here they are the units of `spans`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from latent_core.compress.baselines import BaselineCompressor
from latent_core.compress.causal import CausalScorer, bits_after
from latent_core.compress.lengths import TokenCounter
from latent_core.compress.scored import ScoredText
from latent_core.compress.spans import split_units
from latent_core.errors import InputError


class LmSurprisalCompressor(BaselineCompressor):
    """Keeps the units with the highest surprisal under the causal language model in `causal_lm_dir`.

    The keep-probability is bits / (1 + bits): it only orders the units. A text longer than the model's context is read
    in windows that overlap by half, so every token is predicted from at least half a window, but at the text's start.
    Raises InputError when the directory holds no model or neither its tokenizer nor its config names a start token.
    """

    def __init__(
        self,
        causal_lm_dir: str | os.PathLike[str],
        count_tokens: TokenCounter | None = None,
        *,
        batch_tokens: int = 1_024,
        device: str | None = None,
    ) -> None:
        super().__init__(count_tokens)
        self._scorer = CausalScorer(causal_lm_dir, device)
        self._batch_tokens = batch_tokens
        start = self._scorer.start_token()
        if start is None:
            raise InputError(
                f"causal_lm_dir: {causal_lm_dir} names no start or end token to stand before a text; use another model"
            )
        self._start = start

    def score_words(self, texts: Sequence[str]) -> list[ScoredText]:
        """Keep-probability of every unit, ratio-free; see `ScoredText`."""
        return [
            self._scored(text, split_units(text), (bits / (1 + bits)).astype(np.float32))
            for text, bits in zip(texts, self.surprisals(texts), strict=True)
        ]

    def surprisals(self, texts: Sequence[str]) -> list[NDArray[np.float64]]:
        """Bits of every unit of every text, -log2 P(unit | text before it), shape (units,)."""
        return bits_after(self._scorer, texts, [[self._start]] * len(texts), self._batch_tokens)
