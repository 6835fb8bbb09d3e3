"""Which GPUs a worker sees: each gets its own, before it imports anything that would start CUDA."""

from __future__ import annotations

import os
from pathlib import Path

from latent_core.errors import InputError

VARIABLE = "CUDA_VISIBLE_DEVICES"
_DRIVER = Path("/proc/driver/nvidia/gpus")  # one folder a device, where NVIDIA's driver is loaded
_FILES = Path("/dev")  # nvidia0, nvidia1, ...: some containers have these without the driver's folder


def visible_devices() -> list[str]:
    """Ids of this process's GPUs: CUDA_VISIBLE_DEVICES where it is set (empty means none), else all of the machine."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return [device.strip() for device in named.split(",") if device.strip()]
    found = list(_DRIVER.iterdir()) if _DRIVER.is_dir() else []
    found = found or [path for path in _FILES.glob("nvidia*") if path.name.removeprefix("nvidia").isdecimal()]
    return [str(number) for number, _ in enumerate(found)]


def devices_of(worker: int, per_worker: int, devices: list[str]) -> str | None:
    """The value of CUDA_VISIBLE_DEVICES for a worker; None without GPUs. Workers beyond the last group share in turn.

    Raises InputError when there are fewer devices than one worker needs.
    """
    if not devices:
        return None
    groups = len(devices) // per_worker
    if groups == 0:
        raise InputError(f"runtime.devices_per_worker: {per_worker} devices wanted, {len(devices)} visible; lower it")
    start = worker % groups * per_worker
    return ",".join(devices[start : start + per_worker])
