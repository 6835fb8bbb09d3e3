"""How far the policy that is trained is from the one that sampled, measured on what was sampled, and corrected for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from latent_core.rl.policy.processes import Processes


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
    """What a step's tokens say of sampler and trainer, gathered pass by pass.

    `weights` corrects what is learned for the difference, and counts what it capped.
    """

    def __init__(self) -> None:
        self._found: list[_Pass] = []

    def add(self, sampler: torch.Tensor, trainer: torch.Tensor, own: torch.Tensor) -> None:
        """Log-probabilities of one pass, as the arguments of `sampler_trainer_kl`."""
        counted = own.bool()
        tokens = int(counted.sum())
        if tokens:
            kl = sampler_trainer_kl(sampler.float().cpu(), trainer.float().cpu(), counted.cpu())
            largest = float((trainer - sampler)[counted].abs().max())
            self._found.append(_Pass(tokens, tokens * kl, largest))

    def weights(self, sampler: torch.Tensor, trainer: torch.Tensor, own: torch.Tensor, cap: float) -> torch.Tensor:
        """Truncated importance weights min(trainer / sampler, cap), factors of advantages; 1 where a token is not own.

        Arguments and result (rows, tokens); the trainer's are those before the step. The gradient of what the trainer
        believes of its own samples is then right for samples that are slightly another policy's (Ionides, "Truncated
        Importance Sampling", 2008; for engines that differ from the trainer: Yao et al., "Your Efficient RL Framework
        Secretly Brings You Off-Policy RL Training", 2025). The cap is at least 1.
        """
        ratios = torch.where(own.bool(), (trainer - sampler).double(), 0.0).exp()
        if tokens := int(own.bool().sum()):
            self._found.append(_Pass(weighted=tokens, capped=int((ratios > cap).sum())))
        return ratios.clamp(max=cap).to(sampler.dtype)

    def take(self) -> dict[str, float]:
        """Measures of what was seen since the last call, by all processes; empty where nothing was.

        `sampler_kl` is the divergence in nats a token, `largest_difference` that of two log-probabilities in nats,
        `capped_share` that of weighted tokens whose weight would have been above the cap.
        """
        found, self._found = Processes.here().everyones(self._found), []
        measures: dict[str, float] = {}
        if tokens := sum(one.tokens for one in found):
            measures["sampler_kl"] = sum(one.kl for one in found) / tokens
            measures["largest_difference"] = max(one.largest for one in found)
        if weighted := sum(one.weighted for one in found):
            measures["capped_share"] = sum(one.capped for one in found) / weighted
        return measures


class _Pass(NamedTuple):
    """Sums over the own tokens of a pass, and their largest difference."""

    tokens: int = 0
    kl: float = 0.0
    largest: float = 0.0
    weighted: int = 0
    capped: int = 0
