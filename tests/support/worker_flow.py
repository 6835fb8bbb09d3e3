"""A flow for a Prefect worker to run: three toy stages, the second of which waits until somebody lets it go."""

from __future__ import annotations

from prefect import flow

from tasks.run.execution import open_run
from tests.support.toy_stages import NUMBERS, SUM, Numbers, ToyConfig


@flow(name="toy")
def toy(cfg: ToyConfig, log: str) -> str:
    """Numbers, numbers, sum; the log names each execution."""
    with open_run("toy", cfg) as run:
        first = run.stage(NUMBERS, Numbers(count=2, log=log), {})
        second = run.stage(NUMBERS, Numbers(count=3, log=log, trouble="waits"), {"first": first})
        result = run.artifact(run.stage(SUM, Numbers(count=0, log=log), {"shard_0": first, "shard_1": second}))
        return result.ref.fingerprint
