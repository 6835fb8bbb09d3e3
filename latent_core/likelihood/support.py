"""Which ids share the probability in which phase, cut into tiles of the output head's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from latent_core.errors import InputError

if TYPE_CHECKING:
    import torch

    from latent_core.dual.constraint import PhaseMachine


@dataclass(frozen=True)
class Columns:
    """The rows of a tile that a phase allows: ids `first` to `stop` (exclusive), but for those in `forbidden`."""

    first: int
    stop: int
    forbidden: npt.NDArray[np.bool_] | None
    """Shape (stop - first,); None where all are allowed."""
    added: npt.NDArray[np.float32] | None = None
    """Shape (stop - first,): what the sampler adds to the logits, before temperature; None where it adds nothing."""
    _on_device: dict[str, torch.Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def mask(self, device: torch.device) -> torch.Tensor | None:
        """`forbidden` on `device`, copied there once."""
        return self._copied("forbidden", self.forbidden, device)

    def additions(self, device: torch.device) -> torch.Tensor | None:
        """`added` on `device`, copied there once."""
        return self._copied("added", self.added, device)

    def _copied(self, name: str, array: npt.NDArray[Any] | None, device: torch.device) -> torch.Tensor | None:
        import torch

        if array is None:
            return None
        key = f"{name} {device}"
        if key not in self._on_device:
            self._on_device[key] = torch.from_numpy(array).to(device)
        return self._on_device[key]


@dataclass(frozen=True)
class Tile:
    """Neighbouring rows of the head, ids `first` to `stop` (exclusive), and what each phase allows of them."""

    first: int
    stop: int
    columns: dict[int, Columns]
    """By phase; a phase that allows none of the tile's ids is left out."""


class Support:
    """The ids that have a probability, by phase: exactly those that the sampler allows, whatever the phase machine.

    A plain model is the case of one phase, number 0, that allows every id. `end_bias` of a machine counts: a token that
    was drawn under it has the probability that it was drawn with, so a policy's gradient is that of what acted.
    """

    def __init__(self, allowed: npt.NDArray[np.bool_], added: npt.NDArray[np.float32] | None = None) -> None:
        """`allowed` has shape (phases, ids), as has `added`: what the sampler adds to logits, before temperature.

        Raises `InputError` for a phase that allows nothing.
        """
        if allowed.ndim != 2 or not allowed.any(axis=1).all():
            raise InputError("allowed: every phase needs at least one id that may follow")
        self.allowed = allowed
        self._added = added
        self._tiles: dict[tuple[int, tuple[int, ...]], tuple[Tile, ...]] = {}

    @classmethod
    def of_machine(cls, machine: PhaseMachine) -> Support:
        """What a dual model's constraint allows in each `Phase`, and adds to the closing think token's logit."""
        from latent_core.dual.constraint import Phase

        if machine.end_bias == 0:
            return cls(machine.allowed)
        added = np.zeros(machine.allowed.shape, dtype=np.float32)
        added[Phase.THINK, machine.vocabulary.think_end_id] = machine.end_bias
        return cls(machine.allowed, added)

    @classmethod
    def plain(cls, size: int) -> Support:
        """All of a model's `size` ids, in one phase."""
        return cls(np.ones((1, size), dtype=np.bool_))

    @property
    def phases(self) -> int:
        return int(self.allowed.shape[0])

    @property
    def size(self) -> int:
        """V + L, the rows of the head."""
        return int(self.allowed.shape[1])

    @cached_property
    def _borders(self) -> tuple[int, ...]:
        """Where long runs of ids begin whose phases are the same: no tile should lie on both sides of one."""
        kinds = np.packbits(self.allowed, axis=0).astype(np.int64)
        code = np.zeros(self.size, dtype=np.int64)
        for row in kinds:
            code = code * 256 + row
        changes = np.flatnonzero(np.diff(code)) + 1
        edges = np.concatenate([[0], changes, [self.size]])
        long = np.flatnonzero(np.diff(edges) >= _LONG_RUN)
        return tuple(int(edges[place]) for place in long)

    def tiles(self, width: int, cuts: Sequence[int] = ()) -> tuple[Tile, ...]:
        """The head's rows in tiles of at most `width`; none lies on both sides of one of the `cuts` (ids)."""
        key = (width, tuple(cuts))
        if key not in self._tiles:
            edges = sorted({0, self.size, *self._borders, *cuts})
            self._tiles[key] = tuple(
                self._tile(first, min(first + width, stop))
                for begin, stop in pairwise(edges)
                for first in range(begin, stop, width)
            )
        return self._tiles[key]

    def _tile(self, first: int, stop: int) -> Tile:
        columns: dict[int, Columns] = {}
        for phase in range(self.phases):
            inside = np.flatnonzero(self.allowed[phase, first:stop])
            if inside.size:
                low, high = first + int(inside[0]), first + int(inside[-1]) + 1
                allowed: Any = self.allowed[phase, low:high]
                added = None if self._added is None else self._added[phase, low:high]
                columns[phase] = Columns(
                    low,
                    high,
                    None if allowed.all() else ~allowed,
                    None if added is None or not added.any() else added,
                )
        return Tile(first, stop, columns)


_LONG_RUN = 256
