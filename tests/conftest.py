"""What holds for every test: no hub, no waiting threads that spin, no telemetry, one thread per process."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

os.environ.update(
    HF_HUB_OFFLINE="1",
    OMP_WAIT_POLICY="PASSIVE",
    OMP_NUM_THREADS="1",
    TOKENIZERS_PARALLELISM="false",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    PREFECT_API_BLOCKS_REGISTER_ON_START="false",  # seconds of every server's start, for what no test needs
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="true",
)
settings.register_profile("any machine", deadline=None)  # how long an example takes depends on what else runs
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """One Prefect server for all tests of the workflow layer."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=180):
        yield
