"""The main job, in small, on a Dask cluster of two worker processes; a second plan finds everything done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.launch.registry import find_flow
from flows.tokenskip_math import compose
from latent_core.config.tokenskip import TokenSkipConfig
from latent_core.store import ArtifactStore
from tasks.run.plan import open_plan
from tests.e2e.test_ray import CONFIG

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.slow]


@pytest.fixture
def scheduler() -> Iterator[str]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1", silence_logs=50
    ) as cluster:
        yield cluster.scheduler_address


def test_whole_job_runs_on_a_dask_cluster(scheduler: str, tmp_path: Path) -> None:
    runtime = {
        "runner": "dask", "dask_address": scheduler, "workers": 2, "threads_per_worker": 1,
        "work_dir": str(tmp_path / "work"),
    }  # fmt: skip
    store = ArtifactStore(tmp_path / "store")
    config = TokenSkipConfig.model_validate(
        {**CONFIG, "store": store.root, "runtime": runtime, "tracking": {"enabled": False}}
    )
    find_flow("tokenskip-math").flow()(config)
    run = open_plan("tokenskip-math", config)
    compose(config, run)
    assert run.lines and all(line.hit for line in run.lines)
    shards = [store.require(ref) for ref in store.list("collect_shard")]
    here = {shard.manifest.record["process"] for shard in shards}
    assert len(shards) == 6 and len(here) == 2, "both workers collected"
