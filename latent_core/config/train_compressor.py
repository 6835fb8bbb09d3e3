"""Parameters of training the compressor."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from latent_core.config.base import IDENTITY, StageConfig


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
