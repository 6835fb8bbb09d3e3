"""Parameters of the flow that trains the packaged compressor."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from latent_core.config.base import IDENTITY, RUNTIME, StageConfig
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.runtime import RuntimeConfig, TrackingConfig


class LabelKind(StrEnum):
    """What makes a word worth keeping, measured with a causal language model."""

    SURPRISAL = "surprisal"  # the model did not expect it
    ANSWER_AWARE = "answer_aware"  # the answer becomes less likely without it


class LabelWordsConfig(StageConfig):
    """Keep or drop, for every word of the worked solutions of some problems, by what a causal LM makes of it."""

    questions: Annotated[int, IDENTITY, Field(ge=1)] = 400
    held_out: Annotated[int, IDENTITY, Field(ge=1)] = 60
    """Further problems that are labelled but not trained on."""
    kind: Annotated[LabelKind, IDENTITY] = LabelKind.SURPRISAL
    """surprisal costs one row of the model a text, answer_aware one a word."""

    def identity(self) -> dict[str, Any]:
        """The default kind is left out: labels made before there was a choice keep their fingerprint."""
        fields = super().identity()
        if self.kind is LabelKind.SURPRISAL:
            del fields["kind"]
        return fields


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
    """Causal language model whose surprisal labels the words."""
    corpora: Annotated[tuple[Corpus, ...], IDENTITY, Field(min_length=1)] = (
        Corpus(benchmark=BenchmarkConfig(difficulties=(1, 2, 3, 4, 5))),
    )
    train: Annotated[TrainCompressorConfig, IDENTITY] = TrainCompressorConfig()
    store: Annotated[str, RUNTIME] = ".latent/store"
    runtime: Annotated[RuntimeConfig, RUNTIME] = RuntimeConfig()
    tracking: Annotated[TrackingConfig, RUNTIME] = TrackingConfig()
