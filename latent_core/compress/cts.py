"""Conditional token selection (arXiv 2505.17827): keep what a causal language model expects more knowing the answer.

s_i = log p(x_i | answer, x_<i) - log p(x_i | x_<i). Both are read after the question: the second as the model is asked
in collection, the first with the sentence that states the answer (`prompts.render_answer`) in a line after the
question. A model without a chat template reads plain text instead of its conversation. As the paper does, the gold
answer is given; the chains of thought that are compressed reach it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latent_core import prompts
from latent_core.compress.baselines import BaselineCompressor
from latent_core.compress.causal import CausalScorer, bits_after
from latent_core.compress.conversation import conversation_of
from latent_core.compress.lengths import TokenCounter
from latent_core.compress.scored import ScoredText
from latent_core.compress.solutions import Solutions
from latent_core.compress.spans import split_units
from latent_core.errors import InputError


class CtsCompressor(BaselineCompressor):
    """Keeps the units with the highest score under the causal language model in `causal_lm_dir`.

    A unit's score is the sum of its tokens'; its keep-probability is p(unit | answer) / (p(unit | answer) + p(unit)),
    which orders units as the score does. A text longer than the model's context is read in overlapping windows, each
    after the whole prompt. Raises InputError when the directory holds no model.
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
        self._conversation = conversation_of(Path(causal_lm_dir))
        self._batch_tokens = batch_tokens

    def score_words(self, texts: Sequence[str]) -> list[ScoredText]:
        """Raises InputError: a text alone has no such scores."""
        raise InputError("cts: scores a text by its question and answer; use score_solutions")

    def score_solutions(self, solutions: Solutions) -> list[ScoredText]:
        """Keep-probability of every unit, ratio-free; see `ScoredText`.

        Raises InputError when texts, questions and golds differ in number, for an empty gold, and for a question that
        leaves no room for a text in the model's context.
        """
        return [
            self._scored(text, split_units(text), _keep_probability(nats))
            for text, nats in zip(solutions.texts, self.scores(solutions), strict=True)
        ]

    def scores(self, solutions: Solutions) -> list[NDArray[np.float64]]:
        """s in nats of every unit of every text, shape (units,)."""
        rows = list(solutions.each())
        if empty := [question for _, question, gold in rows if not gold.strip()]:
            raise InputError(f"gold: the answer to {empty[0]!r} is empty; leave rows without an answer out")
        texts = [text for text, _, _ in rows]
        without = [self._opening(question) for _, question, _ in rows]
        knowing = [self._opening(f"{question}\n{prompts.render_answer(gold)}") for _, question, gold in rows]
        before, after = (
            bits_after(self._scorer, texts, openings, self._batch_tokens) for openings in (without, knowing)
        )
        return [(bits - known) * np.log(2) for bits, known in zip(before, after, strict=True)]

    def _opening(self, question: str) -> list[int]:
        return self._scorer.opening(self._conversation.prompt(question))


def _keep_probability(nats: NDArray[np.float64]) -> NDArray[np.float32]:
    """The logistic function, from the side on which it does not overflow."""
    small = np.exp(-np.abs(nats))
    return np.where(nats < 0, small / (1 + small), 1 / (1 + small)).astype(np.float32)
