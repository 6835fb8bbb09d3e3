"""A flow for a Prefect worker to run: three toy stages, the second of which waits until somebody lets it go."""

from __future__ import annotations

from prefect import flow

from tasks.run.execution import open_run
from tests.support.toy_stages import Numbers, SumInputs, ToyConfig, ToyInputs, add_up, count_up


@flow(name="toy")
def toy(cfg: ToyConfig, log: str) -> str:
    """Numbers, numbers, sum; the log names each execution."""
    with open_run("toy", cfg) as run:
        first = run.stage(count_up, Numbers(count=2, log=log), ToyInputs())
        second = run.stage(count_up, Numbers(count=3, log=log, trouble="waits"), ToyInputs(first))
        result = run.artifact(run.stage(add_up, Numbers(count=0, log=log), SumInputs((first, second))))
        return result.ref.fingerprint
