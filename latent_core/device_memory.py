"""A device's name, and a GPU's memory given back: what nothing uses stays reserved by a process until it lets go."""

from __future__ import annotations

import gc
import sys


def release() -> None:
    """Free what only reference cycles hold (a trainer is one), and return PyTorch's reserve to the driver.

    Other processes (training of several devices, a model that vLLM splits) and vLLM's look at free memory when it
    starts count that reserve as taken. Without torch, or without a GPU, only the first half happens.
    """
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def device_name() -> str:
    """What computes here, for a record: the GPU's name, or how many threads of a CPU."""
    import torch

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return f"{torch.get_num_threads()} CPU threads"
