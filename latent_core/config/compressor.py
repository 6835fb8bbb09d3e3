"""Parameters of the flow that trains the packaged compressor."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, RUNTIME, StageConfig
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.chat import ChatConfig
from latent_core.config.runtime import RuntimeConfig, TrackingConfig


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


class TrainCompressorConfig(StageConfig):
    """The encoder trained from scratch; BERT-shaped, with a WordPiece tokenizer of its own."""

    vocabulary: Annotated[int, IDENTITY, Field(ge=100)] = 8000
    layers: Annotated[int, IDENTITY, Field(ge=1)] = 4
    hidden: Annotated[int, IDENTITY, Field(ge=32)] = 256
    heads: Annotated[int, IDENTITY, Field(ge=1)] = 4
    feed_forward: Annotated[int, IDENTITY, Field(ge=32)] = 1024
    epochs: Annotated[float, IDENTITY, Field(gt=0)] = 3.0
    batch_size: Annotated[int, IDENTITY, Field(ge=1)] = 16
    learning_rate: Annotated[float, IDENTITY, Field(gt=0)] = 5e-4
    seed: Annotated[int, IDENTITY, Field(ge=0)] = 42


class Corpus(StageConfig):
    """Problems with worked solutions, and how many of them are labelled."""

    benchmark: Annotated[BenchmarkConfig, IDENTITY]
    labels: Annotated[LabelWordsConfig, IDENTITY] = LabelWordsConfig()


class CompressorConfig(StageConfig):
    """Label words with a causal language model, then train a token classifier to predict the labels."""

    labeller: Annotated[str, RUNTIME] = "smollm2"
    """Causal language model that labels the words."""
    chat: Annotated[ChatConfig, IDENTITY, OMITTED_AT_DEFAULT] = ChatConfig()
    """How the labeller's conversations are read: whether it thinks, and the day its chat template is told."""
    corpora: Annotated[tuple[Corpus, ...], IDENTITY, Field(min_length=1)] = (
        Corpus(benchmark=BenchmarkConfig(difficulties=(1, 2, 3, 4, 5))),
    )
    train: Annotated[TrainCompressorConfig, IDENTITY] = TrainCompressorConfig()
    store: Annotated[str, RUNTIME] = ".latent/store"
    runtime: Annotated[RuntimeConfig, RUNTIME] = RuntimeConfig()
    tracking: Annotated[TrackingConfig, RUNTIME] = TrackingConfig()
