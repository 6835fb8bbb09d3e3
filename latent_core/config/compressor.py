"""Parameters of the flow that trains the packaged compressor."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from latent_core.config.base import IDENTITY, RUNTIME, WIRING, StageConfig
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.chat import ChatConfig
from latent_core.config.label_words import LabelWordsConfig
from latent_core.config.runtime import RuntimeConfig, TrackingConfig
from latent_core.config.train_compressor import TrainCompressorConfig


class Corpus(StageConfig):
    """Problems with worked solutions, and how many of them are labelled."""

    benchmark: Annotated[BenchmarkConfig, WIRING]
    labels: Annotated[LabelWordsConfig, IDENTITY] = LabelWordsConfig()


class CompressorConfig(StageConfig):
    """Label words with a causal language model, then train a token classifier to predict the labels."""

    labeller: Annotated[str, WIRING] = "smollm2"
    """Causal language model that labels the words."""
    chat: Annotated[ChatConfig, WIRING] = ChatConfig()
    """How the labeller's conversations are read: whether it thinks, and the day its chat template is told."""
    corpora: Annotated[tuple[Corpus, ...], IDENTITY, Field(min_length=1)] = (
        Corpus(benchmark=BenchmarkConfig(difficulties=(1, 2, 3, 4, 5))),
    )
    train: Annotated[TrainCompressorConfig, IDENTITY] = TrainCompressorConfig()
    store: Annotated[str, RUNTIME] = ".latent/store"
    runtime: Annotated[RuntimeConfig, RUNTIME] = RuntimeConfig()
    tracking: Annotated[TrackingConfig, RUNTIME] = TrackingConfig()
