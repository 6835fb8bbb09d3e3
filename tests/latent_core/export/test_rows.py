"""Tables for other programs: the same rows come back from each format, only those asked for, never half a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from latent_core.errors import InputError
from latent_core.export.rows import TableFormat, Where, Written, check_columns, selected, write_rows

SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("count", pa.int32()),
        ("share", pa.float64()),
        ("kept", pa.bool_()),
        ("ids", pa.list_(pa.int32())),
    ]
)
ROWS: list[dict[str, Any]] = [
    {"name": 'a "quoted", text\nof two lines', "count": 3, "share": 0.5, "kept": True, "ids": [1, 2]},
    {"name": "zwölf", "count": None, "share": 0.25, "kept": False, "ids": []},
    {"name": None, "count": 12, "share": None, "kept": True, "ids": None},
    {"name": "b", "count": 3, "share": 0.5, "kept": False, "ids": [7]},
]


def _batches() -> Iterator[pa.RecordBatch]:
    for start in (0, 2):
        yield pa.RecordBatch.from_pylist(ROWS[start : start + 2], SCHEMA)


def _written(
    kind: TableFormat, columns: Sequence[str] = SCHEMA.names, where: Sequence[str] = ()
) -> tuple[bytes, Written]:
    counts, file = Written(), io.BytesIO()
    filters = [Where.parse(words) for words in where]
    schema = pa.schema([SCHEMA.field(name) for name in columns])
    write_rows(selected(_batches(), columns, filters, counts), schema, kind, file, counts)
    return file.getvalue(), counts


def test_rows_as_jsonl_and_parquet_come_back_as_they_were() -> None:
    lines, _ = _written(TableFormat.JSONL)
    assert [json.loads(line) for line in lines.decode().split("\n") if line] == ROWS
    table, _ = _written(TableFormat.PARQUET)
    read = pq.read_table(io.BytesIO(table))
    assert read.to_pylist() == ROWS and read.schema == SCHEMA


def test_rows_as_csv_have_a_header_and_lists_as_json() -> None:
    text, _ = _written(TableFormat.CSV)
    read = list(csv.DictReader(io.StringIO(text.decode())))
    assert [row["name"] for row in read] == [row["name"] or "" for row in ROWS]
    assert [row["ids"] for row in read] == ["[1, 2]", "[]", "", "[7]"]
    assert [row["count"] for row in read] == ["3", "", "12", "3"]


def test_rows_of_no_batch_are_a_header_alone_and_a_readable_empty_file() -> None:
    text, counts = _written(TableFormat.CSV, where=["name=nobody"])
    assert text.decode().strip() == '"name","count","share","kept","ids"' and (counts.read, counts.rows) == (4, 0)
    assert pq.read_table(io.BytesIO(_written(TableFormat.PARQUET, where=["name=nobody"])[0])).schema == SCHEMA


@pytest.mark.parametrize(
    ("where", "places"),
    [
        (["count=3"], [0, 3]),
        (["count=3", "kept=true"], [0]),
        (["kept=False"], [1, 3]),
        (["share=0.5"], [0, 3]),
        (["name=zwölf"], [1]),
        (["count=null"], [1]),
        (["ids=null"], [2]),
        (["name=a=b"], []),
    ],
)
def test_filters_all_have_to_hold_and_missing_values_equal_nothing(where: list[str], places: list[int]) -> None:
    lines, counts = _written(TableFormat.JSONL, ["share", "ids"], where)
    expected = [{"share": ROWS[place]["share"], "ids": ROWS[place]["ids"]} for place in places]
    assert [json.loads(line) for line in lines.splitlines()] == expected
    assert (counts.read, counts.rows) == (4, len(places))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("count", "not of the form column=value"),
        ("=3", "not of the form column=value"),
        ("size=3", "no column 'size'; the columns are name, count, share, kept, ids"),
        ("count=many", "count holds int32, which 'many' is not"),
        ("count=3000000000", "count holds int32"),
        ("kept=yes", "kept holds bool, which 'yes' is not"),
        ("ids=1", "only text, numbers and true or false"),
    ],
)
def test_filter_that_cannot_be_right_is_refused_before_rows_are_read(where: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"^--where: .*{message}"):
        Where.parse(where).check(SCHEMA)


def test_filter_for_nan_finds_it() -> None:
    batch = pa.RecordBatch.from_pydict({"share": pa.array([0.5, float("nan"), None])})
    assert Where("share", "nan").mask(batch).to_pylist() == [False, True, False]


def test_columns_that_are_not_there_are_named_with_those_that_are() -> None:
    with pytest.raises(InputError, match=r"no 'size'; the columns are name, count, share, kept, ids"):
        check_columns(SCHEMA, ["name", "size"])
    with pytest.raises(InputError, match="named twice"):
        check_columns(SCHEMA, ["name", "name"])


def test_numbers_that_json_does_not_have_become_null_and_are_counted() -> None:
    schema = pa.schema([("values", pa.list_(pa.float64())), ("name", pa.string())])
    batch = pa.RecordBatch.from_pylist([{"values": [0.5, float("nan"), float("-inf")], "name": "NaN"}], schema)
    for kind in (TableFormat.JSONL, TableFormat.CSV):
        counts, file = Written(), io.BytesIO()
        write_rows([batch], schema, kind, file, counts)
        assert b"[0.5, null, null]" in file.getvalue() and counts.not_finite == 2
