"""Which tokens the reasoning of a corpus uses, and how much of it a set of latents can mirror."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from latent_core.dual.vocabulary import DualVocabulary
from latent_core.errors import InputError
from latent_core.prompts import render_reasoning

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BATCH = 1024  # texts encoded at once


@dataclass(frozen=True)
class Coverage:
    """Reasoning tokens of a corpus with a mirror: as occurrences, and as distinct ids."""

    tokens: int
    covered: int
    distinct: int
    distinct_covered: int

    @property
    def share(self) -> float:
        """Share of the occurrences that can become latent; 0 for an empty corpus."""
        return self.covered / self.tokens if self.tokens else 0.0

    def as_metrics(self) -> dict[str, Any]:
        return {
            "reasoning_tokens": self.tokens,
            "covered_tokens": self.covered,
            "distinct_ids": self.distinct,
            "distinct_ids_covered": self.distinct_covered,
            "coverage": self.share,
        }

    def line(self) -> str:
        return (
            f"coverage     {self.share:.1%} of {self.tokens:,} reasoning tokens, "
            f"{self.distinct_covered:,} of {self.distinct:,} distinct ids"
        )


def count_reasoning_tokens(reasoning: Iterable[str], tokenizer: PreTrainedTokenizerBase) -> npt.NDArray[np.int64]:
    """How often each visible id occurs when `reasoning` is written as training targets are, shape (ids seen + 1,)."""
    counts = np.zeros(len(tokenizer), dtype=np.int64)
    texts = iter(reasoning)
    while batch := [render_reasoning(text) for text in islice(texts, _BATCH)]:
        rows = tokenizer(batch, add_special_tokens=False, return_attention_mask=False)["input_ids"]
        counts += np.bincount(np.concatenate([np.asarray(row, dtype=np.int64) for row in rows]), minlength=len(counts))
    return counts


def seen_at_least(counts: npt.NDArray[np.int64], minimum: int) -> list[int]:
    """Ids that occur at least `minimum` times, ascending. Raises `InputError` when none does."""
    ids = np.flatnonzero(counts >= minimum)
    if ids.size == 0:
        raise InputError(f"dual.seen_at_least: no reasoning token occurs {minimum} times; lower it or collect more")
    return [int(token) for token in ids]


def coverage_of(counts: npt.NDArray[np.int64], vocabulary: DualVocabulary) -> Coverage:
    """How much of the counted reasoning the latents of `vocabulary` mirror."""
    ids = np.flatnonzero(counts)
    mirrored = ids[vocabulary.has_mirror(ids)]
    return Coverage(int(counts.sum()), int(counts[mirrored].sum()), int(ids.size), int(mirrored.size))
