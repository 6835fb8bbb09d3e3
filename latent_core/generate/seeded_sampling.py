"""Sampling that does not depend on a batch's composition: Gumbel noise from a counter, then the arg max.

Adding independent Gumbel(0, 1) noise to the logits and taking the arg max draws from their softmax (Gumbel-max trick;
Maddison et al. 2014, §2). The noise of one position is a hash of (seed, step, token), so a completion depends on its
own seed only; up to float noise in the logits, batching, sharding and the number of workers do not change it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import LogitsProcessor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer: SplitMix64's increment
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def _shift_right(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Logical shift of signed 64-bit integers."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)


def _mix(values: torch.Tensor) -> torch.Tensor:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014), with wrap-around multiplication."""
    values = (values ^ _shift_right(values, 30)) * _MIX_1
    values = (values ^ _shift_right(values, 27)) * _MIX_2
    return values ^ _shift_right(values, 31)


def gumbel_noise(seeds: torch.Tensor, step: int, width: int) -> torch.Tensor:
    """Standard Gumbel noise, shape (rows, width), float32; `seeds` is int64 of shape (rows,)."""
    counter = torch.full_like(seeds, step + 1) * _GOLDEN  # as a tensor, so that the product wraps around
    rows = _mix(seeds + counter)
    tokens = torch.arange(1, width + 1, device=seeds.device, dtype=torch.int64) * _GOLDEN
    bits = _shift_right(_mix(rows[:, None] + tokens[None, :]), 11)
    uniform = (bits.to(torch.float64) + 0.5) * 2.0**-53  # in (0, 1), never 0 or 1
    return (-torch.log(-torch.log(uniform))).to(torch.float32)


class SeededGumbel(LogitsProcessor):  # type: ignore[misc]
    """Adds each row's noise of this step; use it last, with greedy decoding. Logits must be temperature-scaled."""

    def __init__(self, seeds: Sequence[int], prompt_width: int) -> None:
        self._seeds = torch.tensor(list(seeds), dtype=torch.int64)
        self._prompt_width = prompt_width

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._seeds = self._seeds.to(scores.device)
        step = input_ids.shape[1] - self._prompt_width
        return scores.float() + gumbel_noise(self._seeds, step, scores.shape[1])
