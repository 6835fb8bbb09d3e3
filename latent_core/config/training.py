"""Parameters of supervised fine-tuning."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from latent_core.config.base import IDENTITY, RUNTIME, StageConfig


class TrainMethod(StrEnum):
    LORA = "lora"  # low-rank adapters on all linear layers
    FULL = "full"  # every weight


class LatentRows(StrEnum):
    """What happens to a dual model's latent embedding rows under LoRA."""

    TRAINABLE = "trainable"
    FROZEN = "frozen"


class TrainConfig(StageConfig):
    """Supervised fine-tuning; defaults are TokenSkip's on MATH (LoRA r 8, α 16, 1200 steps of 128)."""

    method: Annotated[TrainMethod, IDENTITY] = TrainMethod.LORA
    """Train low-rank adapters or all weights."""
    lora_rank: Annotated[int, IDENTITY, Field(ge=1)] = 8
    lora_alpha: Annotated[int, IDENTITY, Field(ge=1)] = 16
    latent_rows: Annotated[LatentRows, IDENTITY] = LatentRows.TRAINABLE
    """Whether a dual model's latent embedding rows learn; frozen rows stay copies of their sources for ever."""
    learning_rate: Annotated[float, IDENTITY, Field(gt=0)] = 5e-5
    schedule: Annotated[Literal["constant_with_warmup", "cosine", "linear"], IDENTITY] = "constant_with_warmup"
    warmup_ratio: Annotated[float, IDENTITY, Field(ge=0, lt=1)] = 0.1
    """Share of the steps over which the learning rate rises."""
    steps: Annotated[int, IDENTITY, Field(ge=1)] = 1200
    """Optimizer steps."""
    batch_size: Annotated[int, IDENTITY, Field(ge=1)] = 128
    """Effective batch size in examples, whatever the devices and micro batches are."""
    batching: Annotated[Literal["random", "by_length"], IDENTITY] = "random"
    """by_length pads less, but fills a batch with examples of one ratio, since ratio and length go together."""
    max_length: Annotated[int, IDENTITY, Field(ge=8)] = 4096
    """Longest example in tokens; longer ones are left out and counted."""
    weight_decay: Annotated[float, IDENTITY, Field(ge=0)] = 0.0
    eval_every: Annotated[int, IDENTITY, Field(ge=1)] = 200
    """Steps between evaluations on the validation split; the checkpoint with the lowest loss is kept."""
    dtype: Annotated[Literal["auto", "float32", "bfloat16"], IDENTITY] = "auto"
    """Compute type of the weights; auto is bfloat16 on a GPU and float32 on a CPU."""
    save_dtype: Annotated[Literal["float32", "bfloat16"], IDENTITY] = "float32"
    """Type of the merged model's weights on disk."""
    seed: Annotated[int, IDENTITY, Field(ge=0)] = 42
    micro_batch_size: Annotated[int, RUNTIME, Field(ge=1)] = 32
    """Examples in one forward pass; must divide batch_size."""
    save_every: Annotated[int, RUNTIME, Field(ge=1)] = 200
    """Steps between checkpoints to resume from (evaluations save one too)."""
    gradient_checkpointing: Annotated[bool, RUNTIME] = False
