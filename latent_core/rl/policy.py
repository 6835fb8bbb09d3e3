"""The probabilities of a policy as it is sampled: what a dual model's phase forbids has none in the loss either.

Without this the loss would be that of another policy than the one that acted: one that gives some of its probability
to tokens it may never choose, and that learns to take it back from them instead of learning what to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from latent_core.dual.constraint import Phase, PhaseMachine

FORBIDDEN = -1e9  # a logit whose probability is 0 in every type but float16, and which times 0 is still 0


def phases_after(ids: torch.Tensor, machine: PhaseMachine) -> torch.Tensor:
    """The phase after each of `ids`, shape (rows, length), int64: what it allows is what may come next."""
    start, end = machine.vocabulary.think_ids
    positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    last = torch.where((ids == start) | (ids == end), positions, -1).cummax(dim=1).values
    opened = ids.gather(1, last.clamp(min=0)) == start
    phases = torch.where(opened, int(Phase.THINK), int(Phase.ANSWER))
    return torch.where(last < 0, int(Phase.START), phases)


def next_token_logits(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, keep: int, temperature: float, machine: PhaseMachine | None
) -> torch.Tensor:
    """Logits, in float32, of the last `keep` tokens of `ids` (rows, length), as sampling had them: (rows, keep, V+L).

    `mask` is 0 on padding, which may stand on both sides.
    """
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    output = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=keep + 1)
    logits = output.logits[:, -keep - 1 : -1].float()
    if machine is not None:
        phases = phases_after(ids, machine)[:, -keep - 1 : -1]
        logits = torch.where(machine.forbidden_on(logits.device)[phases], FORBIDDEN, logits)
    scaled: torch.Tensor = logits / temperature
    return scaled


def log_probabilities(logits: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Natural log-probabilities of the `chosen` ids (rows, tokens) under `logits` (rows, tokens, V+L)."""
    return logits.gather(2, chosen[:, :, None])[:, :, 0] - logits.logsumexp(dim=2)


def entropies(logits: torch.Tensor) -> torch.Tensor:
    """In nats, shape (rows, tokens); row by row, since one of many tokens takes as much memory as a small model."""
    rows = (row.log_softmax(dim=1) for row in logits)
    return torch.stack([-(logs.exp() * logs).sum(dim=1) for logs in rows])


def policy_trainer(machine: PhaseMachine | None) -> type:
    """TRL's GRPOTrainer, with the log-probabilities of this module."""
    from trl import GRPOTrainer

    class PolicyTrainer(GRPOTrainer):  # type: ignore[misc]
        def _get_per_token_logps_and_entropies(
            self,
            model: Any,
            input_ids: torch.Tensor,
            attention_mask: torch.Tensor,
            logits_to_keep: int,
            batch_size: int | None = None,
            compute_entropy: bool = False,
            **options: Any,
        ) -> tuple[torch.Tensor, torch.Tensor | None, None]:
            """In place of TRL's own, which reads the head's weight alone: no mask, and no latent rows that learn."""
            logps, found = [], []
            for ids, mask in _chunks(input_ids, attention_mask, batch_size):
                with self.accelerator.autocast():
                    logits = next_token_logits(model, ids, mask, logits_to_keep, self.temperature, machine)
                logps.append(log_probabilities(logits, ids[:, -logits_to_keep:]))
                if compute_entropy:
                    with torch.no_grad():
                        found.append(entropies(logits))
            return torch.cat(logps), torch.cat(found) if compute_entropy else None, None

    return PolicyTrainer


def _chunks(ids: torch.Tensor, mask: torch.Tensor, size: int | None) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    size = size or len(ids)
    for start in range(0, len(ids), size):
        yield ids[start : start + size], mask[start : start + size]
