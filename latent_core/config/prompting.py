"""How a model is asked to reason, and how reasoning and answer are written down."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class Prompting(StrEnum):
    """How a model is asked to reason."""

    RATIO = "ratio"  # the ratio as TokenSkip writes it after the question; at 1.0 the plain question
    REDUCE = "reduce"  # in words: to leave out a share of the words
    CONCISE = "concise"  # in words: to be concise
    CHAIN_OF_DRAFT = "chain_of_draft"  # arXiv 2502.18600: a draft of at most five words a step
    SKETCH_OF_THOUGHT = "sketch_of_thought"  # arXiv 2503.05179: symbols and chained notes in place of prose

    @property
    def takes_ratio(self) -> bool:
        return self in (Prompting.RATIO, Prompting.REDUCE)

    @property
    def exemplar_set(self) -> int:
        """Which set of worked examples is shown before the question, raised when they change; 0 shows none."""
        return 1 if self in (Prompting.CHAIN_OF_DRAFT, Prompting.SKETCH_OF_THOUGHT) else 0


def with_exemplar_set(identity: dict[str, Any], prompting: Prompting) -> dict[str, Any]:
    """Identity fields, and the set of worked examples where the way of prompting shows some."""
    return identity | ({"exemplar_set": prompting.exemplar_set} if prompting.exemplar_set else {})


class TextFormat(StrEnum):
    """How reasoning and answer are written down."""

    BOXED = "boxed"  # a turn of the model's conversation, the answer in a box
    XML = "xml"  # a turn, <think>...</think><answer>...</answer>
    RAW_TEXT = "raw_text"  # no conversation: question, rationale, "The answer is ...", as base models are trained
