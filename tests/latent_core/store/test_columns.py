"""Reading rows by whole buffers gives what Arrow's own conversion gives, for every type that artifacts hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from latent_core.errors import InputError
from latent_core.store.columns import rows_of_batch, table_of_rows

NESTED = [[[1, 2], []], [], [[3]], [[4, 5, 6], [7]]]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "", "ä\n", "x" * 300], pa.string()),
        (["a", None, "b", None], pa.string()),
        ([1, 2, -3, 4], pa.int32()),
        ([1, None, 3, None], pa.int64()),
        ([0.1, 2.0, -1e30, 3.5], pa.float32()),
        ([0.1, None, 2.0, 3.5], pa.float64()),
        ([True, False, True, True], pa.bool_()),
        ([[1, 2], [], [3], [4, 5]], pa.list_(pa.int32())),
        ([[1, 2], None, [3], [None]], pa.list_(pa.int32())),
        (NESTED, pa.list_(pa.list_(pa.int32()))),
        ([[["a", "b"], []], [], [["c"]], [["d"]]], pa.list_(pa.list_(pa.string()))),
        ([{"x": 1}, {"x": 2}, None, {"x": 3}], pa.struct([("x", pa.int8())])),
    ],
)
def test_rows_equal_arrows_own_conversion_whole_and_sliced(values: list[Any], kind: pa.DataType) -> None:
    batch = pa.record_batch({"value": pa.array(values, kind), "number": pa.array(range(4))})
    for part in (batch, batch.slice(1, 2), batch.slice(3)):
        rows = list(rows_of_batch(part))
        assert rows == part.to_pylist()
        assert [type(row["value"]) for row in rows] == [type(row["value"]) for row in part.to_pylist()]


class Counted(int):
    """A whole number of another class."""


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", None, ""], pa.string()),
        ([1, None, 3], pa.int32()),
        ([[1, 2], [], [3]], pa.list_(pa.int32())),
        ([[], [], []], pa.list_(pa.int32())),
        ([[1], None, [3]], pa.list_(pa.int32())),
        ([[1, None], [2], []], pa.list_(pa.int64())),
        ([[Counted(1)], [2], [3]], pa.list_(pa.int32())),
        ([[0.1, 1e-50], [2], [float("nan")]], pa.list_(pa.float32())),
        ([[True], [], [False]], pa.list_(pa.bool_())),
        ([["a", "ä"], [], ["c"]], pa.list_(pa.string())),
        ([[[1, 2], []], [], [[3]]], pa.list_(pa.list_(pa.int32()))),
        ([[["a"], []], None, [[None]]], pa.list_(pa.list_(pa.string()))),
        ([{"x": 1}, None, {"x": 3}], pa.struct([("x", pa.int8())])),
    ],
)
def test_rows_become_the_table_that_arrow_makes_of_them(values: list[Any], kind: pa.DataType) -> None:
    schema = pa.schema([("number", pa.int64()), ("value", kind)])
    rows = [{"value": value, "number": number} for number, value in enumerate(values)]
    table, expected = table_of_rows(rows, schema), pa.Table.from_pylist(rows, schema)
    assert table.schema == expected.schema
    assert repr(table.to_pylist()) == repr(expected.to_pylist())  # a NaN equals itself here
    table.validate(full=True)


def test_tuples_and_vectors_are_lists_too() -> None:
    kind = pa.list_(pa.float32())
    for values in ([(0.5, 2.0), ()], [np.asarray([0.5, 2.0], np.float32), np.zeros(0, np.float32)],
                   [np.asarray([0.5, 2.0], np.float64), []]):  # fmt: skip
        table = table_of_rows([{"value": value} for value in values], pa.schema([("value", kind)]))
        assert table.to_pylist() == [{"value": [0.5, 2.0]}, {"value": []}]


@pytest.mark.parametrize("value", [["1"], [2**31], [[1]], 1, {1: 2}, iter([1])])
def test_what_is_no_such_number_is_refused_naming_the_column(value: object) -> None:
    with pytest.raises(InputError, match=r"value must hold list<"):
        table_of_rows([{"value": value}], pa.schema([("value", pa.list_(pa.int32()))]))
