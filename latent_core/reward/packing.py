"""Completions laid out for one forward pass: prompts read once for all who share them, spellings side by side.

A row's sequence is its own ids and then, one after another, what the spellings of the gold do not have in common; the
mask hides each spelling from the other, and the positions of both count from the end of the row's own ids. So one pass
reads both, with nothing copied. Rows are padded on the left: what predicts the spellings then lies in the last columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from latent_core.reward.frame import Variant


@dataclass(frozen=True)
class Row:
    """One completion to be scored: the prompt, the ids that all spellings of the gold follow, and the spellings.

    `own` ends with the first `shared` ids of each variant, and always holds the end of thinking.
    """

    prompt: tuple[int, ...]
    own: tuple[int, ...]
    variants: tuple[Variant, ...]
    shared: int

    @property
    def longest(self) -> int:
        """Positions that the longest spelling needs, prompt included."""
        return len(self.prompt) + len(self.own) - self.shared + max(len(variant.ids) for variant in self.variants)

    @property
    def width(self) -> int:
        """Positions that a pass over the row without its prompt reads."""
        return len(self.own) + sum(len(variant.ids) - self.shared - 1 for variant in self.variants)


@dataclass(frozen=True)
class Picks:
    """Which logits are asked for: row, column from the right end (negative), the token there, and its spelling."""

    rows: torch.Tensor
    columns: torch.Tensor
    targets: torch.Tensor
    spellings: torch.Tensor


@dataclass(frozen=True)
class Packed:
    """Rows of one pass. `mask` is True where a position may look: (rows, 1, width, width of the prompts + width)."""

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    picks: Picks


def chunked(rows: Sequence[Row], most_tokens: int) -> list[list[int]]:
    """Indices of `rows` in groups of at most `most_tokens` padded positions, or one row: equal prompts together.

    Rows whose prompt no other has stand in groups of their own kind, by length.
    """
    counts: dict[tuple[int, ...], int] = {}
    for row in rows:
        counts[row.prompt] = counts.get(row.prompt, 0) + 1
    alone = sorted((i for i, row in enumerate(rows) if counts[row.prompt] == 1), key=lambda i: len(joined(rows[i]).own))
    together = sorted(
        (i for i, row in enumerate(rows) if counts[row.prompt] > 1),
        key=lambda i: (len(rows[i].prompt), rows[i].prompt, rows[i].width),
    )
    chunks: list[list[int]] = []
    for order, prompts_count in ((alone, True), (together, False)):
        widest = 0
        for place, index in enumerate(order):
            width = rows[index].width + (len(rows[index].prompt) if prompts_count else 0)
            widest = max(widest, width)
            if place == 0 or (len(chunks[-1]) + 1) * widest > most_tokens:
                chunks.append([])
                widest = width
            chunks[-1].append(index)
    return chunks


def joined(row: Row) -> Row:
    """The row with its prompt read as part of it, for a prompt that is nobody else's."""
    return replace(row, prompt=(), own=(*row.prompt, *row.own))


def shared_prompts(rows: Sequence[Row]) -> tuple[list[tuple[int, ...]], list[int]]:
    """The different prompts of `rows`, and which of them each row has."""
    places: dict[tuple[int, ...], int] = {}
    which = [places.setdefault(row.prompt, len(places)) for row in rows]
    return list(places), which


def pack_prompts(prompts: Sequence[tuple[int, ...]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids and positions, both (prompts, width), and the mask (prompts, 1, width, width), for reading prompts alone."""
    width = max(map(len, prompts))
    ids = torch.zeros((len(prompts), width), dtype=torch.long)
    positions = torch.zeros((len(prompts), width), dtype=torch.long)
    first = torch.tensor([width - len(prompt) for prompt in prompts])
    for line, prompt in enumerate(prompts):
        ids[line, width - len(prompt) :] = torch.tensor(prompt)
        positions[line, width - len(prompt) :] = torch.arange(len(prompt))
    return ids, positions, _causal(first, width)[:, None]


def pack(rows: Sequence[Row]) -> Packed:
    """The rows after their prompts, which stand left of them as `pack_prompts` laid out each row's (none if empty)."""
    width, before = max(row.width for row in rows), max(len(row.prompt) for row in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    positions = torch.zeros((len(rows), width), dtype=torch.long)
    mask = _causal(torch.tensor([width - row.width for row in rows]), width)
    picked: list[tuple[int, int, int, int]] = []
    for line, row in enumerate(rows):
        start = width - row.width
        end = start + len(row.own)
        depth = len(row.prompt) + len(row.own)
        ids[line, start:end] = torch.tensor(row.own)
        positions[line, start:end] = torch.arange(len(row.prompt), depth)
        place = end
        for number, variant in enumerate(row.variants):
            rest = variant.ids[row.shared :]
            stop = place + len(rest) - 1
            ids[line, place:stop] = torch.tensor(rest[:-1], dtype=torch.long)
            positions[line, place:stop] = torch.arange(depth, depth + len(rest) - 1)
            mask[line, place:stop, end:place] = False
            for step in range(variant.begin - row.shared, len(rest)):
                column = end - 1 if step == 0 else place + step - 1
                picked.append((line, column - width, rest[step], number))
            place = stop
    if before:
        seen = torch.tensor([before - len(row.prompt) for row in rows])[:, None, None]
        left = (torch.arange(before) >= seen).expand(len(rows), width, before)
        mask = torch.cat([left, mask], dim=2)
    columns = (torch.tensor(column) for column in zip(*picked, strict=True))
    return Packed(ids, positions, mask[:, None], Picks(*columns))


def _causal(first: torch.Tensor, width: int) -> torch.Tensor:
    """(rows, width, width): what came before from column `first` on; padding sees itself, since softmax needs one."""
    look = torch.arange(width)
    seen = (look[None, None, :] <= look[None, :, None]) & (look[None, None, :] >= first[:, None, None])
    return seen | torch.eye(width, dtype=torch.bool)
