"""A table of an artifact as JSONL, CSV or Parquet, batch by batch: memory stays at one row group."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, BinaryIO

from latent_core.errors import InputError
from latent_core.store.columns import rows_of_batch

if TYPE_CHECKING:
    import pyarrow as pa

_TRUTH = {"true": True, "false": False}


class TableFormat(StrEnum):
    """How rows are written. The values are also the files' suffixes."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True)
class Where:
    """Only rows whose `column` has this value. `value` is text as a user writes it; `null` is a missing value."""

    column: str
    value: str

    @classmethod
    def parse(cls, words: str) -> Where:
        """From `column=value`. Raises InputError for anything else."""
        column, sign, value = words.partition("=")
        if not sign or not column:
            raise InputError(f"--where: {words!r} is not of the form column=value")
        return cls(column, value)

    def mask(self, batch: pa.RecordBatch) -> Any:
        """Which rows of the batch have the value, shape (rows,). Raises InputError as `check` does."""
        import pyarrow.compute as pc

        column = batch.column(self.column)
        if self.value == "null":
            return column.is_null()
        wanted = self._scalar(column.type)
        found = (
            pc.is_nan(column) if wanted.as_py() != wanted.as_py() else pc.equal(column, wanted)
        )  # NaN equals nothing
        return pc.fill_null(found, False)

    def check(self, schema: pa.Schema) -> None:
        """Raise InputError for a column that is not there, is a list, or cannot have such a value."""
        if self.column not in schema.names:
            raise InputError(f"--where: there is no column {self.column!r}; the columns are {', '.join(schema.names)}")
        if self.value != "null":
            self._scalar(schema.field(self.column).type)

    def _scalar(self, kind: pa.DataType) -> Any:
        import pyarrow as pa

        try:
            if pa.types.is_string(kind):
                return pa.scalar(self.value, kind)
            if pa.types.is_boolean(kind):
                return pa.scalar(_TRUTH[self.value.lower()], kind)
            if pa.types.is_integer(kind):
                return pa.scalar(int(self.value), kind)
            if pa.types.is_floating(kind):
                return pa.scalar(float(self.value), kind)
        except (ValueError, KeyError, OverflowError, pa.ArrowException):
            raise InputError(f"--where: {self.column} holds {kind}, which {self.value!r} is not") from None
        raise InputError(f"--where: {self.column} holds {kind}; only text, numbers and true or false can be compared")


@dataclass
class Written:
    """How many rows were read and written, and how many numbers had no form in JSON."""

    read: int = 0
    rows: int = 0
    not_finite: int = 0

    def counted(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """All of the batches; their rows count as read and written."""
        for batch in batches:
            self.read += batch.num_rows
            self.rows += batch.num_rows
            yield batch


def check_columns(schema: pa.Schema, columns: Sequence[str]) -> None:
    """Raise InputError naming what is not there, or twice, and what there is."""
    missing = [name for name in columns if name not in schema.names]
    if missing:
        raise InputError(
            f"--columns: there is no {', '.join(map(repr, missing))}; the columns are {', '.join(schema.names)}"
        )
    if len(set(columns)) != len(columns):
        raise InputError("--columns: a column is named twice; name each once")


def selected(
    batches: Iterable[pa.RecordBatch], columns: Sequence[str], filters: Sequence[Where], counts: Written
) -> Iterator[pa.RecordBatch]:
    """The rows that pass all filters, with these columns in this order."""
    for batch in batches:
        counts.read += batch.num_rows
        for where in filters:
            batch = batch.filter(where.mask(batch))
        chosen = batch.select(list(columns))
        counts.rows += chosen.num_rows
        if chosen.num_rows:
            yield chosen


def write_rows(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, kind: TableFormat, file: BinaryIO, counts: Written
) -> None:
    """Write batches of `schema`. JSON has no NaN and no infinity: they become null and are counted; CSV keeps them."""
    match kind:
        case TableFormat.JSONL:
            for batch in batches:
                for row in rows_of_batch(batch):
                    file.write(_json(row, counts).encode() + b"\n")
        case TableFormat.CSV:
            _write_csv(batches, schema, file, counts)
        case TableFormat.PARQUET:
            import pyarrow.parquet as pq

            with pq.ParquetWriter(file, schema) as writer:
                for batch in batches:
                    writer.write_batch(batch)


def _write_csv(batches: Iterable[pa.RecordBatch], schema: pa.Schema, file: BinaryIO, counts: Written) -> None:
    """RFC 4180 with a header; lists and other nested values as JSON."""
    import pyarrow as pa
    import pyarrow.csv as csv

    nested = [field.name for field in schema if pa.types.is_nested(field.type)]
    flat = pa.schema([pa.field(field.name, pa.string() if field.name in nested else field.type) for field in schema])
    with csv.CSVWriter(file, flat) as writer:
        for batch in batches:
            columns = [
                pa.array([None if value is None else _json(value, counts) for value in column.to_pylist()], pa.string())
                if name in nested
                else column
                for name, column in zip(schema.names, batch.columns, strict=True)
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=flat))


def _json(value: Any, counts: Written) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value, counts), ensure_ascii=False)


def _finite(value: Any, counts: Written) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        counts.not_finite += 1
        return None
    if isinstance(value, dict):
        return {name: _finite(item, counts) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item, counts) for item in value]
    return value
