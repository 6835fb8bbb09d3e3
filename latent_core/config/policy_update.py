"""Parameters of updating a policy on its own rollouts, whatever these are rollouts of."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, RUNTIME, StageConfig
from latent_core.config.training import ComputeType, LatentRows, LoraVariant, TrainMethod, WeightType


class PolicyUpdateConfig(StageConfig):
    """Steps, filter, clipping and weights; clipping and learning rate are RAGEN's (arXiv 2504.20073)."""

    steps: Annotated[int, IDENTITY, Field(ge=1)] = 200
    """Optimizer steps."""
    keep_signal: Annotated[float, IDENTITY, Field(gt=0, le=1)] = 0.9
    """Of a step's groups those with the most diverse rewards teach: as few as hold this share of all groups' standard
    deviations (RAGEN-2's signal-to-noise filter). 1 keeps every group whose rewards differ."""
    iterations: Annotated[int, IDENTITY, Field(ge=1)] = 1
    """Optimizer steps on the same completions; with one, the sampling policy is the one that learns and nothing is
    clipped."""
    clip_low: Annotated[float, IDENTITY, Field(gt=0, lt=1)] = 0.2
    clip_high: Annotated[float, IDENTITY, Field(gt=0)] = 0.28
    """Bounds of the probability ratio between the new and the sampling policy (DAPO's clip-higher)."""
    kl: Annotated[float, IDENTITY, Field(ge=0)] = 0.0
    """Weight of the divergence from the start model; 0 keeps no copy of it in memory."""
    learning_rate: Annotated[float, IDENTITY, Field(gt=0)] = 1e-6
    warmup_ratio: Annotated[float, IDENTITY, Field(ge=0, lt=1)] = 0.0
    """Share of the steps over which the learning rate rises; it is constant afterwards."""
    weight_decay: Annotated[float, IDENTITY, Field(ge=0)] = 0.0
    method: Annotated[TrainMethod, IDENTITY] = TrainMethod.LORA
    """Train low-rank adapters or all weights."""
    lora_rank: Annotated[int, IDENTITY, Field(ge=1)] = 8
    lora_alpha: Annotated[int, IDENTITY, Field(ge=1)] = 16
    lora_variant: Annotated[LoraVariant, IDENTITY] = LoraVariant.LORA
    """lora, dora (learns directions and magnitudes apart, slower) or rslora (for high ranks)."""
    latent_rows: Annotated[LatentRows, IDENTITY] = LatentRows.TRAINABLE
    """Whether a dual model's latent embedding rows learn."""
    dtype: Annotated[ComputeType, IDENTITY] = "auto"
    """What passes are computed in; auto is bfloat16 on a GPU and float32 on a CPU. Weights that are all trained are
    float32 in memory."""
    save_dtype: Annotated[WeightType, IDENTITY] = "float32"
    """Type of the merged model's weights on disk."""
    seed: Annotated[int, IDENTITY, Field(ge=0)] = 42
    diagnose_every: Annotated[int | None, IDENTITY, OMITTED_AT_DEFAULT, Field(ge=1)] = None
    """Steps between measures of whether reasoning still answers to its prompt. Set, every step also has the entropy of
    first tokens and the divergence between sampler and trainer. The trained weights are the same; unset measures none
    of this."""
    micro_batch_size: Annotated[int, RUNTIME, Field(ge=1)] = 8
    """Completions in one forward pass; must divide those of a step, and of each of several processes."""
    processes: Annotated[int, RUNTIME, Field(ge=1)] = 1
    """Processes that share every step's groups, which they must divide; on GPUs one a device."""
    save_every: Annotated[int, RUNTIME, Field(ge=1)] = 20
    """Steps between checkpoints to resume from."""
    gradient_checkpointing: Annotated[bool, RUNTIME] = False

    def check_batches(self, section: str, rollouts: int, *, groups: int, of: str) -> None:
        """Raises ValueError where the `rollouts` of a step cannot be cut or diagnosed as the settings want, naming the
        field.

        They lie in `groups`, whose number the field `of` says.
        """
        if groups % self.processes:
            raise ValueError(
                f"{section}.processes: {self.processes} cannot share {section}.{of}, {groups}, evenly, and no group is "
                "split; change one of them"
            )
        share = rollouts // self.processes
        if self.processes > 1 and share % self.micro_batch_size:
            raise ValueError(
                f"{section}.micro_batch_size: {self.micro_batch_size} does not divide the {share} rollouts of a step "
                f"that each of {self.processes} processes has"
            )
        if rollouts % self.micro_batch_size:
            raise ValueError(
                f"{section}.micro_batch_size: {self.micro_batch_size} does not divide the {rollouts} rollouts of a "
                "step (groups times samples)"
            )
        if self.steps % self.iterations:
            raise ValueError(f"{section}.iterations: {self.iterations} does not divide the {self.steps} steps")
        if self.save_every % self.iterations:  # who goes on from a checkpoint draws rollouts anew
            raise ValueError(f"{section}.save_every: must be a multiple of {section}.iterations, {self.iterations}")
        if self.diagnose_every is not None and groups < 2:
            raise ValueError(
                f"{section}.diagnose_every: tells the prompts of a step apart, and there is one; draw more a step, or "
                "leave it unset"
            )
