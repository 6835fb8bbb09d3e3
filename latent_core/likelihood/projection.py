"""The autograd function behind `token_logprobs`: tiles of the head times chunks of positions, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from latent_core.likelihood.support import Columns, Support, Tile

# Rows of the head in a tile, and positions in a chunk. Their product is a block of float32 logits: 8 MB stay in or near
# a CPU's caches, 128 MB keep a GPU busy. The backward pass needs two of them.
_CPU_BLOCK, _GPU_BLOCK = (4096, 512), (16384, 2048)
_HALVES = (torch.bfloat16, torch.float16)


class Group(NamedTuple):
    """Positions `start` to `stop` (exclusive), which are all in one phase."""

    phase: int
    start: int
    stop: int


class Projection(NamedTuple):
    """What `PhaseLogProbs` needs beside tensors."""

    support: Support
    groups: tuple[Group, ...]
    starts: tuple[int, ...]
    """First id of each part of the head."""
    scale: float
    soft_cap: float | None
    temperature: float
    with_entropies: bool

    def logits(self, products: torch.Tensor) -> torch.Tensor:
        """From `row . hidden + bias` to what softmax reads; works in place."""
        if self.soft_cap is None:
            return products.mul_(self.scale / self.temperature)
        return products.mul_(self.scale / self.soft_cap).tanh_().mul_(self.soft_cap / self.temperature)

    def slope(self, logits: torch.Tensor, added: torch.Tensor | None) -> torch.Tensor | float:
        """Derivative of `logits`, to which `added` over the temperature was added, by the products they came from."""
        factor = self.scale / self.temperature
        if self.soft_cap is None:
            return factor
        scaled = logits * self.temperature
        if added is not None:
            scaled -= added
        return (1 - (scaled / self.soft_cap).square()) * factor


class _Block(NamedTuple):
    """One chunk of positions against the columns of one tile."""

    tile: Tile
    columns: Columns
    start: int
    stop: int


class PhaseLogProbs(torch.autograd.Function):
    """`apply(hidden (N, width), ids (N,), projection, bias or None, *parts)` → log-probabilities, log-partition,
    entropies (empty unless asked for), each (N,). Positions are sorted by phase, as the projection's groups say."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        ids: torch.Tensor,
        projection: Projection,
        bias: torch.Tensor | None,
        *parts: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        operands = _Operands(hidden, bias, parts, projection)
        with _no_autocast(hidden):
            total = torch.full(ids.shape, -torch.inf, dtype=operands.exact, device=hidden.device)
            chosen, mean = total.clone(), torch.zeros_like(total)
            for block, logits in operands.blocks():
                place = slice(block.start, block.stop)
                local = ids[place] - block.columns.first
                inside = (local >= 0) & (local < logits.shape[1])
                picked = logits.gather(1, local.clamp(0, logits.shape[1] - 1)[:, None])[:, 0]
                chosen[place] = torch.where(inside, picked, chosen[place])
                found = logits.logsumexp(1)
                together = torch.logaddexp(total[place], found)
                if projection.with_entropies:
                    mean[place] *= (total[place] - together).exp()
                    mean[place] += (found - together).exp() * _mean(logits, found)
                total[place] = together
        ctx.save_for_backward(hidden, ids, total, bias, *parts)
        ctx.projection, ctx.cast = projection, operands.cast
        entropies = total - mean if projection.with_entropies else mean[:0]
        ctx.mark_non_differentiable(total, entropies)
        return chosen - total, total, entropies

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor, *_: Any) -> tuple[torch.Tensor | None, ...]:
        hidden, ids, total, bias, *parts = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        operands = _Operands(hidden, bias, tuple(parts), ctx.projection, ctx.cast)
        with _no_autocast(hidden):
            exact = {"dtype": operands.exact, "device": hidden.device}
            of_hidden = torch.zeros(hidden.shape, **exact) if wanted[0] else None
            of_bias = torch.zeros(bias.shape, **exact) if bias is not None and wanted[3] else None
            of_parts = [torch.zeros_like(part) if need else None for part, need in zip(parts, wanted[4:], strict=True)]
            of_tile = torch.empty(0)
            current: Tile | None = None
            for block, logits in operands.blocks():
                place = slice(block.start, block.stop)
                of_logits = _of_logits(block, logits, ids[place], total[place], gradient[place], ctx.projection)
                first, stop = block.columns.first - block.tile.first, block.columns.stop - block.tile.first
                narrow = of_logits.to(operands.factor)
                if of_hidden is not None:
                    _add_product(of_hidden[place], narrow, operands.rows[first:stop])
                if of_bias is not None:
                    of_bias[block.columns.first : block.columns.stop] += of_logits.sum(0)
                index = operands.part_of(block.tile)
                if (of_part := of_parts[index]) is not None:
                    if block.tile is not current:  # summed over positions in full precision, then rounded once
                        current, of_tile = block.tile, torch.zeros(operands.rows.shape, **exact)
                    _add_product(of_tile[first:stop], narrow.t(), operands.hidden[place])
                    offset = block.tile.first - operands.starts[index]
                    of_part[offset : offset + len(of_tile)] = of_tile
        return (
            None if of_hidden is None else of_hidden.to(hidden.dtype),
            None,
            None,
            None if of_bias is None else of_bias.to(bias.dtype),
            *of_parts,
        )


class _Operands:
    """Hidden states and head rows in the types that products are taken in, and the blocks of logits they give.

    Products are summed in `exact`. Their factors are rounded to what the model computes in (autocast's type, or the
    wider of hidden states' and the weight's); where no product of halves into float32 is to be had, they are widened
    again. Rows that learn beside a weight in bfloat16 are float32 and do not count: the model rounds them to its type.
    """

    def __init__(
        self,
        hidden: torch.Tensor,
        bias: torch.Tensor | None,
        parts: tuple[torch.Tensor, ...],
        projection: Projection,
        cast: torch.dtype | None = None,
    ) -> None:
        device = hidden.device
        if cast is None:
            weight = min((part.dtype for part in parts), key=lambda dtype: dtype.itemsize)
            cast = torch.promote_types(hidden.dtype, weight)
            if torch.is_autocast_enabled(device.type) and cast is torch.float32:
                cast = torch.get_autocast_dtype(device.type)
        self.cast = cast
        self.exact = torch.float64 if cast is torch.float64 else torch.float32
        self.factor = cast if cast in _HALVES and device.type == "cuda" else self.exact
        self.hidden = hidden.to(cast).to(self.factor)
        self.starts = projection.starts
        self.rows = hidden  # of the current tile
        self._bias, self._parts, self._projection = bias, parts, projection

    def part_of(self, tile: Tile) -> int:
        """Which part of the head a tile's rows are in."""
        return max(index for index, first in enumerate(self.starts) if first <= tile.first)

    def blocks(self) -> Iterator[tuple[_Block, torch.Tensor]]:
        """Blocks with their logits (positions, columns), a tile's together; `rows` are then those of the tile.

        The logits are the receiver's to write over.
        """
        width, length = _GPU_BLOCK if self.hidden.device.type == "cuda" else _CPU_BLOCK
        groups = self._projection.groups
        for tile in self._projection.support.tiles(width, self.starts):
            if not any(group.phase in tile.columns for group in groups):
                continue
            index = self.part_of(tile)
            first = self.starts[index]
            self.rows = self._parts[index][tile.first - first : tile.stop - first].to(self.cast).to(self.factor)
            for group in groups:
                if (columns := tile.columns.get(group.phase)) is not None:
                    for start in range(group.start, group.stop, length):
                        block = _Block(tile, columns, start, min(start + length, group.stop))
                        yield block, self._logits(block)

    def _logits(self, block: _Block) -> torch.Tensor:
        columns = block.columns
        rows = self.rows[columns.first - block.tile.first : columns.stop - block.tile.first]
        products = _product(self.hidden[block.start : block.stop], rows.t())
        if self._bias is not None:
            products += self._bias[columns.first : columns.stop].to(products.dtype)
        logits = self._projection.logits(products)
        if (added := columns.additions(logits.device)) is not None:
            logits += added / self._projection.temperature
        mask = columns.mask(logits.device)
        return logits if mask is None else logits.masked_fill_(mask, -torch.inf)


def _of_logits(
    block: _Block,
    logits: torch.Tensor,
    ids: torch.Tensor,
    total: torch.Tensor,
    gradient: torch.Tensor,
    projection: Projection,
) -> torch.Tensor:
    """The gradient by the products behind `logits`: (1[chosen] - p) times the gradient by the log-probability."""
    local = ids - block.columns.first
    inside = (local >= 0) & (local < logits.shape[1])
    slope = projection.slope(logits, block.columns.additions(logits.device))
    found = logits.sub_(total[:, None]).exp_().mul_(-gradient[:, None])
    chosen = torch.where(inside, gradient, 0.0).to(found.dtype)
    found.scatter_add_(1, local.clamp(0, logits.shape[1] - 1)[:, None], chosen[:, None])
    found *= slope
    mask = block.columns.mask(found.device)
    return found if mask is None else found.masked_fill_(mask, 0.0)  # a forbidden token has none, chosen or not


def _mean(logits: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    """The mean of the logits under their softmax, whose log-partition is `total`."""
    shares = (logits - total[:, None]).exp_()
    return shares.mul_(logits.masked_fill_(logits.isneginf(), 0.0)).sum(1)


def _product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    if left.dtype in _HALVES:
        return torch.mm(left, right, out_dtype=torch.float32)
    return torch.mm(left, right)


def _add_product(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    """`total += left @ right`, without rounding the product first."""
    if left.dtype in _HALVES:
        torch.addmm(total, left, right, out_dtype=torch.float32, out=total)
    else:
        total.addmm_(left, right)


def _no_autocast(tensor: torch.Tensor) -> AbstractContextManager[Any]:
    return torch.autocast(tensor.device.type, enabled=False)
