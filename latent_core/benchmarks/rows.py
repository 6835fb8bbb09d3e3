"""Rows of questions as a file holds them, JSONL or Parquet; what their values may be is told in `values`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from latent_core.benchmarks.values import Narrow, Unreadable, Unusable, as_answer, as_options, as_question
from latent_core.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

T = TypeVar("T")
_NAMED = 3  # bad rows that a message names; it counts the others
_KEPT_DIGITS = 17  # of a JSON number with a fraction; 17 are what other languages print
_PARQUET_BUFFER = 1 << 20  # bytes; without it a reader holds all of a row group, which may be all of the file
_MOST_DIGITS = 4000  # Python converts no longer numbers; they stay the text that they are in the file


class Row(Mapping[str, Any]):
    """One row: its values by column as the file has them, its place in words, and readings of a column by type.

    `question`, `answer` and `options` raise Unusable, naming the column, for a value that is none. `from_lists` says of
    what was read so far whether some of it was a list that stands for a value, or a chat.
    """

    def __init__(self, values: Mapping[str, Any], place: str) -> None:
        self._values = values
        self.place = place
        self.from_lists = False

    def __getitem__(self, column: str) -> Any:
        return self._values[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def question(self, *columns: str) -> str | None:
        """The question in the first of the columns that is filled; None when none is."""
        return self._first(as_question, columns)

    def answer(self, *columns: str) -> str | None:
        """The answer in the first of the columns that is filled; None when none is."""
        return self._first(as_answer, columns)

    def options(self, column: str) -> list[str]:
        """The options of a choice."""
        return _named(column, as_options, self.get(column))

    def value(self, name: str, reading: Callable[[object], str | None], value: object) -> str | None:
        """`reading` of a value of this row; raises Unusable with the name before what is wrong."""
        self.from_lists |= isinstance(value, list | Narrow)
        return _named(name, reading, value)

    def _first(self, reading: Callable[[object], str | None], columns: tuple[str, ...]) -> str | None:
        for column in columns:
            if (found := self.value(column, reading, self.get(column))) is not None:
                return found
        return None


def _named(name: str, reading: Callable[[object], T], value: object) -> T:
    try:
        return reading(value)
    except Unusable as error:
        raise Unusable(f"has no usable {name}: {error}") from error


def refuse(faults: Sequence[str], rows: int) -> None:
    """Raise InputError if anything is wrong with so many rows: the first faults are named, all are counted."""
    if not faults:
        return
    more = f"; {len(faults)} of {rows} rows are bad" if len(faults) > 1 else ""
    fix = f"mend or remove {'them' if len(faults) > 1 else 'it'}"
    raise InputError(f"benchmark: {'; '.join(faults[:_NAMED])}{more}; {fix}")


def read_file(path: Path) -> list[Row | Unusable]:
    """The rows of a .jsonl or .parquet file, in order; what is wrong with a line in the place of one that is no row.

    JSONL is UTF-8 text, with or without a byte-order mark, one object a line; blank lines are no rows. Raises
    InputError for a file that is neither.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return list(_parquet_rows(path))
    if suffix not in (".jsonl", ".json"):
        raise InputError(f"benchmark: {path} must be a .jsonl or .parquet file")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # splitlines would also cut at U+2028
    except UnicodeDecodeError as error:
        raise InputError(
            f"benchmark: {path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    return [json_row(f"line {number} of {path}", line) for number, line in enumerate(lines, 1) if line.strip()]


def json_row(place: str, line: str) -> Row | Unusable:
    """The row that a line of JSONL holds, or what is wrong with the line; `place` says where it stands."""
    try:
        row = _JSON.decode(line)
    except (ValueError, RecursionError) as error:
        why = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else error
        return Unusable(f"{place} is not JSON ({why}), write an object a line")
    if not isinstance(row, dict):
        return Unusable(f"{place} is no JSON object, write an object a line")
    return Row(row, place)


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MOST_DIGITS else digits


def _real(digits: str) -> float | Unreadable:
    value = float(digits)
    if value == 0 and digits.lower().partition("e")[0].strip("-0."):
        return Unreadable("too small a number; write it as text")
    if (
        len(digits) > _KEPT_DIGITS
        and len(digits.lower().partition("e")[0].strip("-0.").replace(".", "")) > _KEPT_DIGITS
    ):
        return Unreadable("a number of more digits than can be kept; write it as text")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):  # json itself keeps the last
        raise ValueError(f"the key {_named_twice(name for name, _ in pairs)!r:.80} is given twice")
    return values


def _named_twice(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


_JSON = json.JSONDecoder(parse_int=_integer, parse_float=_real, object_pairs_hook=_object)


def open_parquet(path: Path, field: str) -> pq.ParquetFile:
    """A Parquet file, of which a page of each column is in memory at a time, not a whole row group.

    Raises InputError, which begins with `field`, for a file that is none, or has two columns of one name.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path, buffer_size=_PARQUET_BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged_parquet(path, field, error) from error
    if (twice := _named_twice(table.schema_arrow.names)) is not None:
        raise InputError(f"{field}: {path} has two columns {twice!r}; rename one")
    return table


def damaged_parquet(path: Path, field: str, error: Exception) -> InputError:
    why = str(error).partition("\n")[0]
    return InputError(f"{field}: {path} is not a Parquet file, or damaged ({why})")


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow as pa

    try:
        table = open_parquet(path, "benchmark").read()
    except (pa.ArrowException, OSError) as error:
        raise damaged_parquet(path, "benchmark", error) from error
    columns = _Columns(table)
    return (Row(_TableRow(columns, index), f"{path}, counted from 0") for index in range(table.num_rows))


class _Columns:
    """A table's columns as Python values; those that nobody asks for are never converted."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.names = frozenset(table.column_names)
        self._values: dict[str, list[Any]] = {}

    def of(self, name: str) -> list[Any]:
        if name not in self._values:
            self._values[name] = [cell_value(cell) for cell in self._table.column(name)]
        return self._values[name]


class _TableRow(Mapping[str, Any]):
    def __init__(self, columns: _Columns, index: int) -> None:
        self._columns = columns
        self._index = index

    def __getitem__(self, column: str) -> Any:
        if column not in self._columns.names:
            raise KeyError(column)
        return self._columns.of(column)[self._index]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._columns.names))

    def __len__(self) -> int:
        return len(self._columns.names)


def cell_value(cell: Any) -> Any:
    """What a cell of an Arrow table holds, `Unreadable` for what Python cannot have."""
    import numpy as np

    try:
        value = cell.as_py()
    except (ValueError, OverflowError, LookupError) as error:  # text that is not UTF-8, a time or zone beyond Python's
        return Unreadable(f"damaged ({error})")
    precision = {"float": np.float32, "halffloat": np.float16}.get(str(cell.type))
    if precision is None or value is None or float(written := str(precision(value))) == value or value != value:
        return value
    return Narrow(written)
