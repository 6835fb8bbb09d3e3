"""How far the policy that is trained is from the one that sampled, measured on what was sampled, and corrected for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch


def sampler_trainer_kl(sampler: npt.ArrayLike, trainer: npt.ArrayLike, own: npt.ArrayLike) -> float:
    """An estimate of KL(sampler || trainer) in nats a token; all arguments have one shape, such as (rows, tokens).

    `sampler` and `trainer` are natural log-probabilities of the sampled tokens, `own` is true (or 1) where the model
    wrote the token: only there is anything counted. The sampler's are those of `SamplingConfig.logprobs_of: sampler`.

    The mean of k3 = (r - 1) - log r with r = trainer / sampler: unbiased, and no term is negative (John Schulman,
    "Approximating KL divergence", 2020, http://joschu.net/blog/kl-approx.html). Infinite where the trainer forbids a
    token that was sampled; NaN where no token is own. Raises ValueError for shapes that differ, and for a token of its
    own whose sampler's log-probability is not finite.
    """
    drawn, learned = np.asarray(sampler, dtype=np.float64), np.asarray(trainer, dtype=np.float64)
    counted = np.asarray(own, dtype=bool)
    if not drawn.shape == learned.shape == counted.shape:
        raise ValueError(f"shapes differ: sampler {drawn.shape}, trainer {learned.shape}, own {counted.shape}")
    drawn, learned = drawn[counted], learned[counted]
    if not np.isfinite(drawn).all():
        raise ValueError("sampler: a token was sampled whose log-probability is not finite")
    if not drawn.size:
        return float("nan")
    difference = learned - drawn
    return float(np.mean(np.expm1(difference) - difference))


class Mismatch:
    """Gathers the tokens of a step, pass by pass, for `sampler_trainer_kl` over all of them."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._tokens = 0

    def add(self, sampler: Any, trainer: Any, own: Any) -> None:
        """Tensors of one shape, as the arguments of `sampler_trainer_kl`."""
        counted = own.bool().cpu().numpy()
        tokens = int(counted.sum())
        if tokens:
            found = sampler_trainer_kl(sampler.float().cpu().numpy(), trainer.float().cpu().numpy(), counted)
            self._sum += tokens * found
            self._tokens += tokens

    def take(self) -> float | None:
        """The divergence over what was added since the last call, in nats a token; None where nothing was."""
        tokens, total = self._tokens, self._sum
        self._sum, self._tokens = 0.0, 0
        return total / tokens if tokens else None


class Correction(NamedTuple):
    """`weights` (rows, tokens) are factors of advantages; the rest are measures of what they correct."""

    weights: torch.Tensor
    largest_difference: float
    """Of log-probabilities, in nats."""
    capped_share: float
    """Of own tokens, those whose weight would have been above the cap."""

    @property
    def measures(self) -> dict[str, float]:
        """By the names that a step's log has."""
        return {"largest_difference": self.largest_difference, "capped_share": self.capped_share}


def correction(sampler: torch.Tensor, trainer: torch.Tensor, own: torch.Tensor, cap: float) -> Correction:
    """Truncated importance weights min(trainer / sampler, cap) of sampled tokens; 1 where a token is not own.

    Arguments as those of `sampler_trainer_kl`. The gradient of what the trainer believes of its own samples is then
    right for samples that are slightly another policy's (Ionides, "Truncated Importance Sampling", 2008; for engines
    that differ from the trainer: Yao et al., "Your Efficient RL Framework Secretly Brings You Off-Policy RL Training",
    2025). The cap is at least 1.
    """
    own = own.bool()
    difference = torch.where(own, (trainer - sampler).double(), 0.0)
    ratios = difference.exp()
    counted = max(1, int(own.sum()))
    return Correction(
        ratios.clamp(max=cap).to(sampler.dtype),
        float(difference.abs().max()) if difference.numel() else 0.0,
        float((ratios > cap).sum()) / counted,
    )
