"""Giving a GPU's memory back: what nothing uses any more stays reserved by this process until it is told to let go."""

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
