"""The phase of every position of a batch, read at once; `PhaseMachine` defines the phases."""

from __future__ import annotations

import torch

from latent_core.dual.constraint import Phase, PhaseMachine


def phases_after(ids: torch.Tensor, machine: PhaseMachine, starts: torch.Tensor | None = None) -> torch.Tensor:
    """The phase after each of `ids`, shape (rows, length), int64: what it allows is what may come next.

    `starts`, of the same shape, is true where a new text begins within a row (packed examples); its phase is then
    that of its own ids. Without it a row is one text.
    """
    start, end = machine.vocabulary.think_ids
    positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    last = torch.where((ids == start) | (ids == end), positions, -1).cummax(dim=1).values
    opened = ids.gather(1, last.clamp(min=0)) == start
    phases = torch.where(opened, int(Phase.THINK), int(Phase.ANSWER))
    begins = 0 if starts is None else torch.where(starts, positions, 0).cummax(dim=1).values
    return torch.where(last < begins, int(Phase.START), phases)
