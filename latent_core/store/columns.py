"""Rows out of Arrow's columns and into them: as `to_pylist` and `from_pylist` do, several times as fast for lists."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from latent_core.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

_SEQUENCES = frozenset((list, tuple, np.ndarray, array))  # of a dictionary only the keys would be left
_CODES = {"int32": "i", "int64": "q", "float": "f", "double": "d"}  # Arrow's numbers as `array` has them


def table_of_rows(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows with exactly the schema's columns as a table; a list may also be a tuple or a vector of numpy.

    Raises InputError naming the column for a value that is not of its type.
    """
    import pyarrow as pa

    columns = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        try:
            columns.append(_array(list(map(itemgetter(name), rows)), kind))
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"columns: {name} must hold {kind} ({error}); correct the rows or the schema") from error
    return pa.Table.from_arrays(columns, schema=schema)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """`pa.array(values, kind)`, by way of one flat buffer where these are lists and none is missing."""
    import pyarrow as pa

    if not pa.types.is_list(kind) or not _SEQUENCES.issuperset(map(type, values)):
        return pa.array(values, kind)
    offsets = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, values), np.int64, len(values)), out=offsets[1:])
    if offsets[-1] > np.iinfo(np.int32).max:
        return pa.array(values, kind)
    inner = kind.value_type
    flat = _flat_numbers(values, inner) if str(inner) in _CODES else None
    if flat is None:
        flat = _array(list(chain.from_iterable(values)), inner)
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), flat, type=kind)


def _flat_numbers(values: list[Any], kind: pa.DataType) -> pa.Array | None:
    """The numbers of all lists after one another; None where one is missing or no such number: Arrow decides."""
    import pyarrow as pa

    wanted = np.dtype(_CODES[str(kind)])
    vectors = [isinstance(value, np.ndarray) for value in values]
    if any(vectors):
        same = all(vectors) and all(value.dtype == wanted for value in values)
        return pa.array(np.concatenate(values)) if same else None
    numbers: array[Any] = array(_CODES[str(kind)])
    try:
        for value in values:
            numbers.fromlist(value) if isinstance(value, list) else numbers.extend(value)  # an array is copied whole
    except (TypeError, OverflowError):
        return None
    return pa.array(np.frombuffer(numbers, dtype=wanted)) if numbers else pa.array([], kind)


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
