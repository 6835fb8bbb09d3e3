"""Reinforcement learning in several processes on one machine, through the launcher of supervised fine-tuning."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latent_core.config.policy_update import PolicyUpdateConfig
from latent_core.errors import InputError
from latent_core.rl.policy.processes import Processes
from latent_core.sft.launch import launch_folder, run_processes
from latent_core.sft.launched import write_json
from latent_core.sft.rank import Progress
from latent_core.sft.trainer import visible_gpus


def launches(config: PolicyUpdateConfig, section: str) -> bool:
    """Whether the training that `config` describes is to be launched in processes of its own.

    It is not in one of these processes. Raises InputError, naming the field in `section`, for more processes than there
    are GPUs, where there are any.
    """
    if config.processes == 1 or Processes.here().count > 1:
        return False
    devices = visible_gpus()
    if devices and config.processes > len(devices):
        raise InputError(
            f"{section}.processes: {config.processes} processes need as many devices, {len(devices)} are there; "
            "raise runtime.devices_per_worker, or lower processes"
        )
    return True


def launch(
    stage: str,
    model_dir: Path,
    config: PolicyUpdateConfig,
    more: Mapping[str, Any],
    *,
    out_dir: Path,
    checkpoint_dir: Path,
    progress: Progress | None,
) -> dict[str, Any]:
    """What the first process of stage `stage` (grpo or agent) measured: the fields of `PolicyResult` but its rollouts.

    `more`, plain values, is what the stage needs besides (see `launched`). Raises as `run_processes` does.
    """
    folder = launch_folder(checkpoint_dir)
    described = {
        "owner": os.getpid(),
        "stage": stage,
        "model_dir": str(model_dir),
        "config": config.model_dump(mode="json"),
        "out_dir": str(out_dir),
        "checkpoint_dir": str(checkpoint_dir),
        **more,
    }
    write_json(folder / "job.json", described)
    measured = run_processes(
        folder, "latent_core.rl.training.launched", config.processes, visible_gpus(), progress, stage=stage
    )
    # JSON, through which the result came, has no numbers as keys.
    return measured | {"diagnosis": {int(step): found for step, found in measured["diagnosis"].items()}}
