"""Supervised fine-tuning of a causal language model on token ids and labels: TRL's SFTTrainer, PEFT's LoRA.

Examples arrive tokenised. Training resumes from the newest whole checkpoint in `checkpoint_dir`, which belongs to one
fingerprint and may be deleted at any time.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from latent_core.config.training import LossOn, LossSupport, TrainConfig
from latent_core.device_memory import release
from latent_core.errors import InputError
from latent_core.sft.loss import latent_only
from latent_core.sft.phase_loss import check_targets, machine_of
from latent_core.sft.plan import micro_batch_size
from latent_core.sft.rank import Job, Progress, TrainResult, fit, resolve_layout, think_end_id

if TYPE_CHECKING:
    import pyarrow as pa


def train(
    model_dir: Path,
    training: pa.Table,
    validation: pa.Table | None,
    config: TrainConfig,
    *,
    out_dir: Path,
    checkpoint_dir: Path,
    latent_ids: Sequence[int] = (),
    progress: Progress | None = None,
) -> TrainResult:
    """Fine-tune the model in `model_dir`, write the merged model (and the adapter, under LoRA) below `out_dir`.

    `training` and `validation` have list columns `input_ids` and `labels` (-100: no loss), of equal length per row.
    `latent_ids` are the latent rows of a dual model, a gapless range; with `latent_rows: trainable` they are trained
    beside the adapter. Writes `out_dir/model` and, for LoRA, `out_dir/adapter`. Raises InputError for an empty training
    split and for settings that do not fit each other, the model or the machine, before anything is trained.
    """
    if training.num_rows == 0:
        raise InputError("train: no training examples are left; look at the row accounting of the prepare stage")
    devices = visible_gpus()
    processes = _processes(config, devices)
    micro_batch_size(config, processes)
    resolve_layout(config)
    if not config.loss_weights.are_equal_to_one:
        think_end_id(model_dir)
    if config.loss_on is LossOn.LATENT_ONLY:
        training, validation = latent_only(training, latent_ids), latent_only(validation, latent_ids)
    if config.support is LossSupport.PHASE and (machine := machine_of(model_dir)) is not None:
        check_targets(machine, training, validation)
    latents = range(latent_ids[0], latent_ids[-1] + 1) if latent_ids else range(0)
    job = Job(model_dir, training, validation, config, out_dir, checkpoint_dir, latents)
    if processes == 1 and len(devices) <= 1:
        try:
            result = fit(job, progress)
        finally:
            release()
        assert result is not None
        return result
    from latent_core.sft.launch import launch

    return launch(job, processes, devices, progress)


def visible_gpus() -> list[str]:
    """Ids of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = [device.strip() for device in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if device.strip()]
    return named[:count] if named else [str(number) for number in range(count)]


def _processes(config: TrainConfig, devices: Sequence[str]) -> int:
    if config.processes is None:
        return max(1, len(devices))
    if devices and config.processes > len(devices):
        raise InputError(
            f"train.processes: {config.processes} processes need as many devices, {len(devices)} are there; "
            "raise runtime.devices_per_worker, or leave processes out"
        )
    return config.processes
