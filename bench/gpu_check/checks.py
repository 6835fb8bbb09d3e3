"""All checks, in the order in which they run: what tells the most in the least time comes first."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bench.gpu_check import (
    choices,
    compressor,
    head,
    large,
    logprobs,
    memory,
    reinforcement,
    sampling,
    training,
    vllm,
    workers,
)  # fmt: skip
from bench.gpu_check.findings import Findings
from bench.gpu_check.place import Place

NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}


class Check(NamedTuple):
    """A function that runs in `processes` processes of its own at once, for at most `seconds` on a GPU."""

    name: str
    run: Callable[[Place, Findings], None]
    seconds: float
    processes: int = 1
    environment: Callable[[int], dict[str, str]] = lambda number: {}
    on_cpu: bool = False
    """Computes what others compare with: it is kept from the GPU."""


CHECKS = (
    Check("choices", choices.check, 45),
    Check("reference", sampling.reference, 60, on_cpu=True),
    Check("head", head.check, 30),
    Check("sampling", sampling.check, 60),
    Check("logprobs", logprobs.check, 40),
    Check("training-reference", training.reference, 60, on_cpu=True),
    Check("training", training.check, 75),
    Check("large", large.check, 60),
    Check("rl", reinforcement.check, 75),
    Check("compressor", compressor.check, 45),
    Check("memory", memory.check, 40),
    Check("workers", workers.check, 45, workers.WORKERS, workers.environment),
    Check("vllm", vllm.check, 150),
    Check("vllm-v2", vllm.check_v2, 150, environment=lambda number: {"VLLM_USE_V2_MODEL_RUNNER": "1"}),
)
NAMES = tuple(check.name for check in CHECKS)
