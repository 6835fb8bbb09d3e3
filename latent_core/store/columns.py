"""Rows out of Arrow's columns: what `to_pylist` gives, several times as fast for nested lists of numbers and words."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def rows_of_batch(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """The rows of a batch as dictionaries of plain Python values."""
    names = batch.schema.names
    for values in zip(*(_values(column) for column in batch.columns), strict=True):
        yield dict(zip(names, values, strict=True))


def _values(column: pa.Array) -> list[Any]:
    """`column.to_pylist()`, by way of whole buffers where the type allows it: one object a value, not two."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_string(kind):
        return list(column.to_numpy(zero_copy_only=False))
    if column.null_count:
        return list(column.to_pylist())
    if pa.types.is_list(kind):
        bounds = column.offsets.to_numpy().tolist()
        inner = _values(column.values.slice(bounds[0], bounds[-1] - bounds[0]))
        return [inner[start - bounds[0] : stop - bounds[0]] for start, stop in pairwise(bounds)]
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return list(column.to_numpy(zero_copy_only=False).tolist())
    return list(column.to_pylist())
