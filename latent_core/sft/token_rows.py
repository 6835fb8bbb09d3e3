"""Training examples in two flat buffers: hundreds of thousands of rows are opened at once, and a batch in a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from latent_core.dual.remap import IGNORED

if TYPE_CHECKING:
    import pyarrow as pa


class TokenRows:
    """The rows of a table with list columns `input_ids` and `labels`, each as vectors of int64.

    One more row is at the end, with a token and no loss: it fills steps that are too short (see `micro_batches`).
    """

    def __init__(self, table: pa.Table) -> None:
        self._ids = _flat(table, "input_ids")
        self._labels = _flat(table, "labels")
        lengths = [chunk.value_lengths().to_numpy(zero_copy_only=False) for chunk in table["input_ids"].chunks]
        self._starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index == len(self) - 1:
            return {"input_ids": self._ids[:1].astype(np.int64), "labels": np.array([IGNORED])}
        row = slice(self._starts[index], self._starts[index + 1])
        return {"input_ids": self._ids[row].astype(np.int64), "labels": self._labels[row].astype(np.int64)}


def _flat(table: pa.Table, column: str) -> npt.NDArray[np.int32]:
    """All values of a list column after one another."""
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table[column].chunks]
    return np.asarray(chunks[0] if len(chunks) == 1 else np.concatenate(chunks))


class PaddedCollator:
    """A batch of rows filled up to the longest, as TRL's collator makes it, in a twentieth of its time."""

    def __init__(self, padding_id: int) -> None:
        self._padding_id = padding_id

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """`input_ids`, `labels` (-100 where filled) and `attention_mask` of shape (rows, tokens) as int64."""
        import torch

        shape = (len(rows), max(len(row["input_ids"]) for row in rows))
        ids = np.full(shape, self._padding_id, dtype=np.int64)
        labels = np.full(shape, IGNORED, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        for place, row in enumerate(rows):
            length = len(row["input_ids"])
            ids[place, :length] = row["input_ids"]
            labels[place, :length] = row["labels"]
            mask[place, :length] = 1
        named = {"input_ids": ids, "labels": labels, "attention_mask": mask}
        return {name: torch.from_numpy(values) for name, values in named.items()}
