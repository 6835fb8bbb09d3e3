"""The phase machine of dual-vocabulary generation: which ids may follow, given the think tokens so far.

One machine for every engine. Only think tokens move it, so an engine's adapter keeps one phase a row and shows it
each newest token. Allowed ids (V visible, L latent, of `DualVocabulary`):

    START   visible, without the closing think token (the model may open a think phase)
    THINK   latents and the closing think token; end-of-sequence only if `eos_in_think`
    ANSWER  visible, without both think tokens
    PLAIN   all visible ids: a row for which dual reasoning is switched off

A latent that mirrors a think or end-of-sequence token (the reference builds those) is never allowed. Visible
end-of-sequence tokens are all ids that end a completion: the vocabulary's own, and `stop_ids`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from latent_core.dual.vocabulary import DualVocabulary, IdsLike, as_array

if TYPE_CHECKING:
    import torch


class Phase(IntEnum):
    """A row of `PhaseMachine.allowed`."""

    START = 0
    THINK = 1
    ANSWER = 2
    PLAIN = 3


@dataclass(frozen=True)
class PhaseMachine:
    """The phases of one dual vocabulary, free of any engine's types; tables are made once a device."""

    vocabulary: DualVocabulary
    eos_in_think: bool = False
    """Whether a sequence may end while thinking."""
    end_bias: float = 0.0
    """Added to the closing think token's logit in THINK. Not 0 shortens reasoning and belongs in every report."""
    stop_ids: tuple[int, ...] = ()
    """Ids that end a completion beside the vocabulary's end-of-sequence ids."""
    _torch_tables: dict[str, torch.Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def phase_of_prompt(self, ids: IdsLike) -> Phase:
        """The phase after a prompt, shape (n,): its last think token decides; none means START."""
        array = as_array(ids).reshape(-1)
        events = np.flatnonzero(np.isin(array, self.vocabulary.think_ids))
        return self.advance(Phase.START, int(array[events[-1]])) if events.size else Phase.START

    def advance(self, phase: Phase, token: int) -> Phase:
        """The phase after one more token."""
        if phase is Phase.PLAIN:
            return phase
        if token == self.vocabulary.think_start_id:
            return Phase.THINK
        if token == self.vocabulary.think_end_id:
            return Phase.ANSWER
        return phase

    @cached_property
    def allowed(self) -> npt.NDArray[np.bool_]:
        """Shape (4, V+L), read-only: row `Phase`, column id."""
        vocabulary = self.vocabulary
        visible = np.arange(vocabulary.size) < vocabulary.visible_size
        table = np.stack([visible, ~visible, visible, visible])
        table[Phase.START, vocabulary.think_end_id] = False
        table[Phase.ANSWER, list(vocabulary.think_ids)] = False
        ends = [*vocabulary.eos_ids, *self.stop_ids]
        stops = np.isin(vocabulary.sources, [*vocabulary.think_ids, *ends])
        table[Phase.THINK, vocabulary.visible_size + np.flatnonzero(stops)] = False
        table[Phase.THINK, vocabulary.think_end_id] = True
        if self.eos_in_think:
            table[Phase.THINK, ends] = True
        table.flags.writeable = False
        return table

    def forbidden_on(self, device: torch.device | str) -> torch.Tensor:
        """`~allowed` as a bool tensor (4, V+L) on `device`, made once a device."""
        import torch

        key = str(torch.device(device))
        if key not in self._torch_tables:
            self._torch_tables[key] = torch.from_numpy(~self.allowed).to(device)
        return self._torch_tables[key]

    def violations(self, prompt: IdsLike, completion: IdsLike, *, start: Phase | None = None) -> npt.NDArray[np.int64]:
        """Positions in `completion`, shape (n,), whose id its phase forbids. Cut padding after the end off first.

        `start` replaces the phase that the prompt implies; `Phase.PLAIN` checks a row without dual reasoning.
        """
        first = self.phase_of_prompt(prompt) if start is None else start
        tokens = self.vocabulary.checked(completion).reshape(-1)
        return np.flatnonzero(~self.allowed[self._phases_before(first, tokens), tokens])

    def _phases_before(self, first: Phase, tokens: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """The phase in which each of `tokens` was chosen, shape (n,)."""
        if first is Phase.PLAIN or tokens.size == 0:
            return np.full(tokens.shape, int(first))
        is_event = np.isin(tokens, self.vocabulary.think_ids)
        last_event = np.maximum.accumulate(np.where(is_event, np.arange(tokens.size), -1))
        after = np.where(tokens[last_event] == self.vocabulary.think_start_id, int(Phase.THINK), int(Phase.ANSWER))
        after = np.where(last_event < 0, int(first), after)
        return np.concatenate([[int(first)], after[:-1]])
