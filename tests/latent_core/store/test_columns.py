"""Reading rows by whole buffers gives what Arrow's own conversion gives, for every type that artifacts hold."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from latent_core.store.columns import rows_of_batch

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
