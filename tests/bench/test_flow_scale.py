"""A small flow of many shards on the temporary server: all of it computed, recorded, found again and planned.

That nothing is lost when tasks come all at once is tested in `tests/flows/launch/test_server.py` too.
"""

from __future__ import annotations

import pytest

from bench.flow_scale import row_for


@pytest.mark.slow
@pytest.mark.parametrize("shards", [12, 40])
def test_flow_of_many_shards_is_recorded_whole_and_found_again(shards: int) -> None:
    row = row_for(shards)
    assert row["stages"] == 3 * shards + 3 == row["task_runs"] and row["task_runs_without_end"] == 0
    assert row["memory"] < 1e9 and row["cached_memory"] < 1e9
    # Some 0.02 s a stage and the start of a server; the bounds are those of a very busy machine.
    assert row["overhead_a_stage"] < 2.0
    assert row["plan_seconds"] < 10.0
