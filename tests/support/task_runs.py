"""What a Prefect server has recorded of task runs, whose states reach it as events, after a while."""

from __future__ import annotations

import time
from collections.abc import Set
from typing import Any
from uuid import UUID

PATIENCE_SECONDS = 60.0


def recorded_task_runs(flow_run: UUID, expected: Set[UUID]) -> list[Any]:
    """The task runs of a flow run, once the server has recorded how each of `expected` ended."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run]))
    deadline = time.monotonic() + PATIENCE_SECONDS
    with get_client(sync_client=True) as client:
        while True:
            runs = client.read_task_runs(flow_run_filter=wanted)
            if expected <= {run.id for run in runs if run.state is not None and run.state.is_final()}:
                return runs
            assert time.monotonic() < deadline, f"{len(runs)} of {len(expected)} task runs were recorded in time"
            time.sleep(0.1)
