"""The phase machine as a logits processor of transformers' `generate`.

A row's whole state is the position of its last think token. A step looks at the newest column and, since beam search
may have permuted or duplicated the rows, at the positions known from the rows of the step before: a row's last think
token must be one of those or the newest. That makes a step free of Python loops, independent of the sequence length,
and right for any reordering; its cost is (rows x rows) lookups.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import LogitsProcessor

from latent_core.dual.constraint import Phase, PhaseMachine
from latent_core.errors import InputError

# How many columns before the newest must equal the step before, row by row, for a call to count as its continuation.
# Fewer would confuse a new prompt that is one token longer than the last sequence with the next step.
_TAIL = 16


class DualLogitsProcessor(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped here
    """Masks what the phase of each row forbids; usable for any number of `generate` calls.

    `dual_rows` switches prompts of the batch on or off: one bool a prompt; with beams or several sequences a prompt,
    each counts for all of its rows. A row that is off is plain: visible ids only, think tokens free.

    A new call is recognised by its batch size, device, length and its last 16 ids; anything but a plain continuation
    (a new prompt, a reordered batch, assisted decoding) is read once from all ids, vectorised. Only a new prompt that
    repeats the 16 ids at the very positions of the last call's end could be taken for its continuation;
    `reset()` between calls excludes even that.
    """

    def __init__(self, machine: PhaseMachine, *, dual_rows: Sequence[bool] | None = None) -> None:
        self.machine = machine
        self.dual_rows = None if dual_rows is None else tuple(bool(row) for row in dual_rows)
        self.reset()

    def reset(self) -> None:
        """Forget the call before."""
        self._last_event = torch.empty(0, dtype=torch.long)
        self._tail = torch.empty(0, 0, dtype=torch.long)
        self._length = -1

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores`, shape (rows, V+L), with -inf at forbidden ids; `input_ids` is (rows, length), padded left.

        Raises `InputError` when the scores' width is not V+L or `dual_rows` does not fit the batch.
        """
        width = self.machine.vocabulary.size
        if scores.shape[-1] != width:
            raise InputError(f"the model scores {scores.shape[-1]} ids, dual_vocab.json says {width}: load the pair")
        phases = self.phases(input_ids)
        # index_select and a scalar where: the cheapest of six ways tried (2.4 times faster than indexed masked_fill).
        forbidden = self.machine.forbidden_on(scores.device).index_select(0, phases)
        masked = torch.where(forbidden, float("-inf"), scores)
        if self.machine.end_bias:
            end = self.machine.vocabulary.think_end_id
            masked[:, end] += self.machine.end_bias * (phases == Phase.THINK).to(masked.dtype)
        return masked

    def phases(self, input_ids: torch.Tensor) -> torch.Tensor:
        """The phase of every row after `input_ids`, shape (rows,), int64; moves the state."""
        last = self._continued(input_ids) if self._continues(input_ids) else self._read(input_ids)
        self._last_event, self._length = last, input_ids.shape[1]
        self._tail = input_ids[:, -_TAIL:].clone()
        token = input_ids.gather(1, last.clamp(min=0)[:, None]).squeeze(1)
        opened = token == self.machine.vocabulary.think_start_id
        phases = torch.where(opened, int(Phase.THINK), int(Phase.ANSWER))
        phases = torch.where(last < 0, int(Phase.START), phases)
        return self._switched(phases)

    def _is_event(self, ids: torch.Tensor) -> torch.Tensor:
        start, end = self.machine.vocabulary.think_ids
        return (ids == start) | (ids == end)

    def _continues(self, input_ids: torch.Tensor) -> bool:
        rows, length = input_ids.shape
        if length != self._length + 1 or rows != self._tail.shape[0] or input_ids.device != self._tail.device:
            return False
        return torch.equal(input_ids[:, -1 - self._tail.shape[1] : -1], self._tail)

    def _read(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Each row's position of its last think token, -1 for none, from all ids; shape (rows,)."""
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        return torch.where(self._is_event(input_ids), positions, -1).amax(dim=1)

    def _continued(self, input_ids: torch.Tensor) -> torch.Tensor:
        """The same from the newest column and the positions known of the step before."""
        rows, length = input_ids.shape
        known = self._last_event.expand(rows, -1)
        seen = self._is_event(input_ids.gather(1, known.clamp(min=0))) & (known >= 0)
        before = torch.where(seen, known, -1).amax(dim=1)
        return torch.where(self._is_event(input_ids[:, -1]), length - 1, before)

    def _switched(self, phases: torch.Tensor) -> torch.Tensor:
        if self.dual_rows is None:
            return phases
        rows, prompts = phases.shape[0], len(self.dual_rows)
        if prompts == 0 or rows % prompts:
            raise InputError(f"dual_rows has {prompts} entries for a batch of {rows} rows: give one bool a prompt")
        on = torch.tensor(self.dual_rows, device=phases.device).repeat_interleave(rows // prompts)
        return torch.where(on, phases, int(Phase.PLAIN))
