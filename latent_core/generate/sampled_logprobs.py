"""Log-probabilities of sampled tokens without keeping the logits of every step."""

from __future__ import annotations

import torch
from transformers import LogitsProcessor


class SampledLogprobs(LogitsProcessor):  # type: ignore[misc]
    """Notes how likely each token that was sampled was, under the logits as they are in this processor's place.

    In the first place these are the model's own; in the last, before `SeededGumbel`, those that tokens are drawn from.
    A step's token is known at the next step only, so the logits of one step are kept until then.
    """

    def __init__(self) -> None:
        self._logits: torch.Tensor | None = None
        self._found: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._note(input_ids)
        self._logits = scores
        return scores

    def of(self, output: torch.Tensor) -> torch.Tensor:
        """Natural log-probabilities, shape (rows, new tokens), once generation has returned the ids `output`."""
        self._note(output)
        self._logits = None
        return torch.stack(self._found, dim=1)

    def _note(self, ids: torch.Tensor) -> None:
        if self._logits is not None:
            logits = self._logits.float()
            chosen = logits.gather(1, ids[:, -1:])[:, 0]
            self._found.append((chosen - logits.logsumexp(dim=1)).cpu())
