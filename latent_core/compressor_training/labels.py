"""Keep and drop labels for training a compressor: a word is worth keeping where a language model did not expect it.

Surprisal as a measure of what a text can spare is Selective-Context's (arXiv 2310.06201); here it is conditioned on
the question. It deletes predictable results, the answer's own value among them: pair it with `keep_value`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latent_core.compress.causal import CausalScorer, bits_after
from latent_core.compress.conversation import PLAIN_TEXT
from latent_core.compress.spans import split_units
from latent_core.errors import InputError


@dataclass(frozen=True, eq=False)
class LabelledText:
    """A text with its units: `spans` are [start, end) characters, shape (units, 2); `labels` 1 to keep, 0 to drop."""

    text: str
    spans: NDArray[np.int64]
    labels: NDArray[np.int64]

    def to_row(self) -> dict[str, Any]:
        """Columns of plain values for Parquet."""
        starts, ends = self.spans.reshape(-1, 2).T.tolist()
        return {"text": self.text, "starts": starts, "ends": ends, "labels": self.labels.tolist()}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> LabelledText:
        """Rebuild from `to_row`'s columns."""
        spans = np.asarray([row["starts"], row["ends"]], dtype=np.int64).T.reshape(-1, 2)
        return cls(row["text"], spans, np.asarray(row["labels"], dtype=np.int64))


def surprisal_labels(
    texts: Sequence[str],
    questions: Sequence[str],
    causal_lm_dir: str | os.PathLike[str],
    *,
    prompt: Callable[[str], str] = PLAIN_TEXT.prompt,
    batch_tokens: int = 1_024,
    device: str | None = None,
) -> list[LabelledText]:
    """Label 1 the units whose surprisal exceeds the median of their text, else 0."""
    surprisals = word_surprisals(
        texts, questions, causal_lm_dir, prompt=prompt, batch_tokens=batch_tokens, device=device
    )
    return [upper_half(text, bits) for text, bits in zip(texts, surprisals, strict=True)]


def upper_half(text: str, worth: NDArray[np.float64]) -> LabelledText:
    """Label 1 the units whose `worth` (shape (units,)) exceeds the median of the text, else 0."""
    labels = (worth > np.median(worth)).astype(np.int64) if len(worth) else np.zeros(0, np.int64)
    return LabelledText(text, split_units(text), labels)


def word_surprisals(
    texts: Sequence[str],
    questions: Sequence[str],
    causal_lm_dir: str | os.PathLike[str],
    *,
    prompt: Callable[[str], str] = PLAIN_TEXT.prompt,
    batch_tokens: int = 1_024,
    device: str | None = None,
) -> list[NDArray[np.float64]]:
    """Surprisal in bits, -log2 P(unit | question, text before it), of every unit of every text, shape (units,).

    A token that reaches over several units gives each its share by characters; whitespace takes no share. Rows of
    similar length share a batch of at most `batch_tokens` positions. Raises InputError when texts and questions differ
    in number, the directory is missing, a row exceeds the model's context, or a prompt is empty (the first token would
    have nothing to be predicted from).
    """
    if len(texts) != len(questions):
        raise InputError(f"questions: {len(questions)} questions for {len(texts)} texts; give one a text")
    scorer = CausalScorer(causal_lm_dir, device)
    prompts = [scorer.opening(prompt(question)) for question in questions]
    bodies = scorer.tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True) if texts else {}
    rows = [start + body for start, body in zip(prompts, bodies.get("input_ids", []), strict=True)]
    for index, (row, start) in enumerate(zip(rows, prompts, strict=True)):
        if not start:
            raise InputError(f"prompt: that of question {index} has no tokens; begin it with text or a start token")
        if len(row) > scorer.context:
            raise InputError(
                f"texts: text {index} with its question has {len(row)} tokens, more than the LM's {scorer.context}"
            )
    return bits_after(scorer, texts, prompts, batch_tokens)
