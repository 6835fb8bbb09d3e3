"""Labels that know the answer: a word is worth keeping where the answer becomes less likely without it.

Surprisal (`labels`) drops what is predictable, the result of a calculation among it. Here words are taken out, and what
counts is log P(gold answer | question, what is left), with a language model as the reader. Two ways:

- one word at a time: the drop (leave-one-out importance, Li et al., arXiv 1612.08220);
- random halves of the text at a time: the mean with the word less the mean without it (as ContextCite does for whole
  sentences, Cohen-Wang et al., arXiv 2409.00729).

A text that states its result more than once defeats the first: whatever single word is missing, the reader copies the
result from the next place. On worked word problems the largest drop was 0.001 nats and most were float noise, while the
second way gave the result's occurrences 4 to 13 nats, more than almost any other word, at about the same cost. What it
gives to one word of one text is noisy all the same: a compressor trained on 40 one-step texts predicted the labels of
16 others hardly better than chance (AUC 0.55; leave-one-out 0.58, surprisal 0.93), so label many.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from latent_core.compress.causal import CausalScorer
from latent_core.compress.conversation import PLAIN_TEXT, Conversation
from latent_core.compress.solutions import Solutions
from latent_core.compress.spans import join_spans, split_units
from latent_core.compressor_training.labels import LabelledText, upper_half
from latent_core.errors import InputError

ABLATIONS = 128  # random halves of a text; twice as many rows would halve the noise's variance and double the cost


class Reader:
    """The causal language model in `causal_lm_dir`, asked for the gold answer after some reasoning."""

    def __init__(
        self,
        causal_lm_dir: str | os.PathLike[str],
        conversation: Conversation = PLAIN_TEXT,
        *,
        batch_tokens: int = 4_096,
        device: str | None = None,
    ) -> None:
        self._scorer = CausalScorer(causal_lm_dir, device)
        self._conversation = conversation
        self._batch_tokens = batch_tokens

    def log_probabilities(self, question: str, gold: str, variants: Sequence[str]) -> NDArray[np.float64]:
        """log P(gold | question, variant) in nats, shape (variants,); the question is read once, each variant once.

        Raises InputError when a row exceeds the model's context, or the prompt or the answer is empty.
        """
        scorer = self._scorer
        opening = scorer.opening(self._conversation.prompt(question))
        if not opening or not gold.strip():
            raise InputError("golds, prompt: every text needs a prompt with at least one token, and an answer")
        asks, answer = (scorer.ids(part) for part in self._conversation.cue(gold))
        rows = [[*scorer.ids(variant), *asks, *answer] for variant in variants]
        longest = len(opening) + max(map(len, rows), default=0)
        if longest > scorer.context:
            raise InputError(
                f"texts: one with its question and answer has {longest} tokens, more than the LM's {scorer.context}"
            )
        logs = np.zeros(len(rows))
        for row, own in scorer.log_probabilities_after(opening, rows, self._batch_tokens):
            logs[row] = own[len(own) - len(answer) :].sum()
        return logs


def answer_aware_labels(solutions: Solutions, reader: Reader) -> list[LabelledText]:
    """Label 1 the units whose drop exceeds the median of their text, else 0."""
    return [upper_half(text, own) for text, own in zip(solutions.texts, answer_drops(solutions, reader), strict=True)]


def answer_ablation_labels(solutions: Solutions, reader: Reader, ablations: int = ABLATIONS) -> list[LabelledText]:
    """Label 1 the units whose effect exceeds the median of their text, else 0."""
    effects = answer_effects(solutions, reader, ablations)
    return [upper_half(text, own) for text, own in zip(solutions.texts, effects, strict=True)]


def answer_drops(solutions: Solutions, reader: Reader) -> list[NDArray[np.float64]]:
    """log P(gold | question, text) - log P(gold | question, text without the unit), in nats, shape (units,) per text.

    Costs one row a unit. What is left of a text is joined as a compression would be. Raises InputError when texts,
    questions and golds differ in number, and as `Reader` does.
    """
    drops = []
    for text, question, gold in solutions.each():
        logs = reader.log_probabilities(question, gold, [text, *without_each_unit(text)])
        drops.append(logs[0] - logs[1:])
    return drops


def answer_effects(
    solutions: Solutions, reader: Reader, ablations: int = ABLATIONS, seed: int = 42
) -> list[NDArray[np.float64]]:
    """Mean log P(gold | question, what is left) with the unit less that without it, in nats, shape (units,) per text.

    What is left is a random half of the units and, in the next row, the other half, so that every unit is there in half
    of the `ablations` rows (an even number). The draw follows from seed and text. Raises InputError as `answer_drops`.
    """
    if ablations < 2 or ablations % 2:
        raise InputError(f"ablations: must be an even number of at least 2, got {ablations}")
    effects = []
    for text, question, gold in solutions.each():
        spans = [(start, end) for start, end in split_units(text).tolist()]
        kept = random_halves(text, len(spans), ablations, seed)
        variants = [join_spans(text, spans, np.flatnonzero(row).tolist()) for row in kept]
        logs = reader.log_probabilities(question, gold, variants)
        effects.append(np.where(kept, logs[:, None], -logs[:, None]).sum(axis=0) / (ablations / 2))
    return effects


def random_halves(text: str, units: int, ablations: int, seed: int) -> NDArray[np.bool_]:
    """Which units stay, shape (ablations, units): every other row is the complement of the one before."""
    digest = hashlib.sha256(f"{seed}\n{text}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    drawn = generator.random((ablations // 2, units)) < 0.5
    return np.stack([drawn, ~drawn], axis=1).reshape(ablations, units)


def without_each_unit(text: str) -> list[str]:
    """The text once for each of its units, that unit left out."""
    spans = [(start, end) for start, end in split_units(text).tolist()]
    return [
        join_spans(text, spans, [other for other in range(len(spans)) if other != unit]) for unit in range(len(spans))
    ]
