"""Parameters of supervised fine-tuning."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, RUNTIME, StageConfig

ComputeType = Literal["auto", "float32", "bfloat16"]
WeightType = Literal["float32", "bfloat16"]
Schedule = Literal["constant_with_warmup", "cosine", "linear"]
Batching = Literal["random", "by_length"]


class TrainMethod(StrEnum):
    LORA = "lora"  # low-rank adapters on all linear layers
    FULL = "full"  # every weight


class LatentRows(StrEnum):
    """What happens to a dual model's latent embedding rows under LoRA."""

    TRAINABLE = "trainable"
    FROZEN = "frozen"


class VisibleRows(StrEnum):
    """What happens to the visible embedding rows under LoRA."""

    FROZEN = "frozen"
    TRAINABLE = "trainable"


class LoraVariant(StrEnum):
    """Kinds of low-rank adapters, as PEFT has them."""

    LORA = "lora"
    DORA = "dora"  # arXiv 2402.09353: direction and magnitude apart
    RSLORA = "rslora"  # arXiv 2312.03732: scaled by alpha / sqrt(rank)


class LossOn(StrEnum):
    """Which tokens of a target the loss is on."""

    TARGET = "target"  # all of it
    LATENT_ONLY = "latent_only"  # the latent tokens of a dual model alone


class LossSupport(StrEnum):
    """Which ids share the probability in the training loss; for a model that is not dual both are the same."""

    FULL = "full"  # all ids of the model
    PHASE = "phase"  # those that sampling allows in the phase of the position


class Layout(StrEnum):
    """How the examples of one forward pass lie beside each other; the loss is the same."""

    AUTO = "auto"  # packed where flash attention is there to keep them apart, else padded
    PADDED = "padded"  # one a row, filled up to the longest
    PACKED = "packed"  # all in one row without any padding, kept apart by their positions


class LossWeights(StageConfig):
    """How much a target's parts count in the loss, relative to 1; the closing think token parts them."""

    reasoning: Annotated[float, IDENTITY, Field(ge=0)] = 1.0
    boundary: Annotated[float, IDENTITY, Field(ge=0)] = 1.0
    """The closing think token itself."""
    answer: Annotated[float, IDENTITY, Field(ge=0)] = 1.0
    """What follows it, with the end of the turn."""

    @property
    def are_equal_to_one(self) -> bool:
        return self.reasoning == self.boundary == self.answer == 1.0


class TrainConfig(StageConfig):
    """Supervised fine-tuning; defaults are TokenSkip's on MATH (LoRA r 8, α 16, 1200 steps of 128)."""

    method: Annotated[TrainMethod, IDENTITY] = TrainMethod.LORA
    """Train low-rank adapters or all weights."""
    lora_rank: Annotated[int, IDENTITY, Field(ge=1)] = 8
    lora_alpha: Annotated[int, IDENTITY, Field(ge=1)] = 16
    lora_variant: Annotated[LoraVariant, IDENTITY, OMITTED_AT_DEFAULT] = LoraVariant.LORA
    """lora, dora (learns directions and magnitudes apart, slower) or rslora (for high ranks)."""
    loss_on: Annotated[LossOn, IDENTITY, OMITTED_AT_DEFAULT] = LossOn.TARGET
    """latent_only trains a dual model on its latent tokens alone."""
    loss_weights: Annotated[LossWeights, IDENTITY, OMITTED_AT_DEFAULT] = LossWeights()
    """Weights of reasoning, closing think token and answer in the training loss (the evaluation loss has them too)."""
    support: Annotated[LossSupport, IDENTITY, OMITTED_AT_DEFAULT] = LossSupport.FULL
    """Softmax over all ids (full), or over those that a dual model may choose in the phase of the position (phase)."""
    latent_rows: Annotated[LatentRows, IDENTITY] = LatentRows.TRAINABLE
    """Whether a dual model's latent embedding rows learn; frozen rows stay copies of their sources for ever."""
    visible_rows: Annotated[VisibleRows, IDENTITY, OMITTED_AT_DEFAULT] = VisibleRows.FROZEN
    """Under LoRA, whether the visible embedding rows learn too: those that a full copy mirrors. The control of a dual
    model's latent rows: as many parameters that learn, and no second vocabulary."""
    learning_rate: Annotated[float, IDENTITY, Field(gt=0)] = 5e-5
    schedule: Annotated[Schedule, IDENTITY] = "constant_with_warmup"
    warmup_ratio: Annotated[float, IDENTITY, Field(ge=0, lt=1)] = 0.1
    """Share of the steps over which the learning rate rises."""
    steps: Annotated[int, IDENTITY, Field(ge=1)] = 1200
    """Optimizer steps."""
    batch_size: Annotated[int, IDENTITY, Field(ge=1)] = 128
    """Effective batch size in examples, whatever the devices and micro batches are."""
    batching: Annotated[Batching, IDENTITY] = "random"
    """by_length pads less, but fills a batch with examples of one ratio, since ratio and length go together."""
    max_length: Annotated[int, IDENTITY, Field(ge=8)] = 4096
    """Longest example in tokens; longer ones are left out and counted."""
    weight_decay: Annotated[float, IDENTITY, Field(ge=0)] = 0.0
    eval_every: Annotated[int, IDENTITY, Field(ge=1)] = 200
    """Steps between evaluations on the validation split; the checkpoint with the lowest loss is kept."""
    dtype: Annotated[ComputeType, IDENTITY] = "auto"
    """What passes are computed in; auto is bfloat16 on a GPU and float32 on a CPU. Weights that are all trained are
    float32 in memory."""
    save_dtype: Annotated[WeightType, IDENTITY] = "float32"
    """Type of the merged model's weights on disk."""
    seed: Annotated[int, IDENTITY, Field(ge=0)] = 42
    micro_batch_size: Annotated[int, RUNTIME, Field(ge=1)] = 32
    """Most examples in one forward pass; must divide batch_size. Several processes take as many as come out even."""
    processes: Annotated[int | None, RUNTIME, Field(ge=1)] = None
    """Processes that share every batch; unset is one for each device of the worker (runtime.devices_per_worker)."""
    layout: Annotated[Layout, RUNTIME] = Layout.AUTO
    """Whether a pass is padded or packed; auto packs on GPUs with flash attention."""
    save_every: Annotated[int, RUNTIME, Field(ge=1)] = 200
    """Steps between checkpoints to resume from, with a validation split too (each evaluation saves one beside)."""
    gradient_checkpointing: Annotated[bool, RUNTIME] = False
    """Compute a pass's activations again for its gradients, a third more work, instead of keeping them: 0.2 MB a token
    in place of 14 for a model of 4 billion parameters."""

    def identity(self) -> dict[str, Any]:
        """Full training in bfloat16 once moved bfloat16 weights: its results are told apart."""
        mixed = {"trained_weights": "float32"} if self.method is TrainMethod.FULL and self.dtype != "float32" else {}
        return super().identity() | mixed

    @model_validator(mode="after")
    def _rows_learn_beside_an_adapter(self) -> TrainConfig:
        if self.visible_rows is VisibleRows.TRAINABLE and self.method is not TrainMethod.LORA:
            raise ValueError(
                f"visible_rows: method {self.method.value} trains every row anyway; leave visible_rows out, or set "
                "method lora"
            )
        return self

    @model_validator(mode="after")
    def _micro_batches_fill_a_batch(self) -> TrainConfig:
        if self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"micro_batch_size: {self.micro_batch_size} does not divide batch_size {self.batch_size}; change one"
            )
        return self
