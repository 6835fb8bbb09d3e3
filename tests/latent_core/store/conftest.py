"""S3 servers for the store's tests: SeaweedFS, which checks credentials, and moto, where buckets can be missing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.s3_faults import make_bucket
from tests.support.s3_servers import Server, start_moto, start_seaweed


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_seaweed(tmp_path_factory.mktemp("seaweed"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_moto(tmp_path_factory.mktemp("moto") / "log")
    yield server
    server.stop()


@pytest.fixture(params=["seaweed", "moto"])
def s3_root(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The root of an empty store on each of the servers; this process and its children are pointed at it."""
    server: Server = request.getfixturevalue(request.param)
    for name, value in server.environment(timeout="30").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LATENT_CACHE", str(tmp_path / "cache"))
    make_bucket("bucket")
    return f"s3://bucket/{uuid.uuid4().hex}"
