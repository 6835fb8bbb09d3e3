"""Parameters of labelling words with a causal language model."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, StageConfig


class LabelKind(StrEnum):
    """What makes a word worth keeping, measured with a causal language model."""

    SURPRISAL = "surprisal"  # the model did not expect it
    ANSWER_AWARE = "answer_aware"  # the answer becomes less likely without it; says nothing where it is stated twice
    ANSWER_ABLATION = "answer_ablation"  # the same on average over random halves of the text


class LabelReading(StrEnum):
    """How the labelling model reads a question and its worked solution."""

    PLAIN_TEXT = "plain_text"  # for a model that knows no conversations
    CONVERSATION = "conversation"  # its own chat template: for a model that knows nothing else


class LabelWordsConfig(StageConfig):
    """Keep or drop, for every word of the worked solutions of some problems, by what a causal LM makes of it."""

    questions: Annotated[int, IDENTITY, Field(ge=1)] = 400
    held_out: Annotated[int, IDENTITY, Field(ge=1)] = 60
    """Further problems that are labelled but not trained on."""
    kind: Annotated[LabelKind, IDENTITY, OMITTED_AT_DEFAULT] = LabelKind.SURPRISAL
    """surprisal costs one row of the model a text, answer_aware one a word, answer_ablation 128 of half the length."""
    reading: Annotated[LabelReading, IDENTITY, OMITTED_AT_DEFAULT] = LabelReading.PLAIN_TEXT
    """conversation suits a chat model; latent-mini, which knows nothing else, needs it."""
