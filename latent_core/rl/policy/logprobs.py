"""The probabilities of a policy as it is sampled: what a dual model's phase forbids has none in the loss either.

Without this the loss would be that of another policy than the one that acted: one that gives some of its probability
to tokens it may never choose, and that learns to take it back from them instead of learning what to say.
"""

from __future__ import annotations

from typing import Any

import torch

from latent_core.dual.constraint import PhaseMachine
from latent_core.dual.remap import IGNORED
from latent_core.likelihood import Head, Support, TokenLogProbs, phases_after, token_logprobs
from latent_core.likelihood.hidden_states import hidden_states


class Policy:
    """Log-probabilities of a model's tokens as they are sampled: under the phases of `machine` if it is dual.

    The machine's `end_bias` is in them, as it is in what was sampled.
    """

    def __init__(self, machine: PhaseMachine | None, temperature: float) -> None:
        self._machine = machine
        self._temperature = temperature
        self._support = None if machine is None else Support.of_machine(machine)

    def logprobs(
        self, model: Any, ids: torch.Tensor, mask: torch.Tensor, keep: int, *, with_entropies: bool = False
    ) -> TokenLogProbs:
        """Of the last `keep` tokens of `ids` (rows, length), shape (rows, keep).

        `mask` is 0 on padding, which may stand on both sides and has log-probability and entropy 0. So have tokens that
        their phase forbids: those that an environment said, which the policy had no part in.
        """
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        read = hidden_states(model, input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)
        head = Head.of(model)
        if self._support is None:
            self._support = Support.plain(head.size)
        before = slice(-keep - 1, -1)
        targets = torch.where(mask[:, -keep:] == 0, IGNORED, ids[:, -keep:])
        phases = None
        if self._machine is not None:
            phases = phases_after(ids, self._machine)[:, before]
            forbidden = self._machine.forbidden_on(ids.device)[phases, ids[:, -keep:]]
            targets = torch.where(forbidden, IGNORED, targets)
        return token_logprobs(
            read[:, before],
            head,
            targets,
            self._support,
            phases,
            temperature=self._temperature,
            with_entropies=with_entropies,
        )
