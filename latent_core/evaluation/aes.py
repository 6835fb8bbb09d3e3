"""Accuracy-efficiency score: tokens saved, plus accuracy won or minus accuracy lost, relative to a baseline model.

Source: Luo et al., "O1-Pruner" (arXiv 2501.12570), section 4: AES = ω·ΔLength + β·ΔAcc where accuracy rises, and
ω·ΔLength − γ·|ΔAcc| where it falls, with ΔLength = (L_base − L) / L_base and ΔAcc = (A − A_base) / A_base.
"""

from __future__ import annotations

from typing import NamedTuple


class AesWeights(NamedTuple):
    """ω for length, β for accuracy won, γ for accuracy lost."""

    length: float
    gain: float
    loss: float

    @property
    def name(self) -> str:
        """AES 1/3/5."""
        return f"AES {self.length:g}/{self.gain:g}/{self.loss:g}"


AES_1_3_5 = AesWeights(1, 3, 5)  # O1-Pruner's own
AES_1_5_10 = AesWeights(1, 5, 10)  # of later papers, which punish lost accuracy harder
AES_WEIGHTS = (AES_1_3_5, AES_1_5_10)


def aes(accuracy: float, tokens: float, base_accuracy: float, base_tokens: float, weights: AesWeights) -> float | None:
    """The score; 0 is the baseline itself. None where the baseline has no right answer or writes nothing."""
    if base_accuracy <= 0 or base_tokens <= 0:
        return None
    saved = (base_tokens - tokens) / base_tokens
    gained = (accuracy - base_accuracy) / base_accuracy
    return weights.length * saved + (weights.gain if gained >= 0 else weights.loss) * gained
