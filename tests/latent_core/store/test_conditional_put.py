"""Commits on S3 servers without conditional puts: documented, and never worse than a result that is there twice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from latent_core.store import Artifact, ArtifactRef, ArtifactStore, begin
from tests.support.s3_faults import make_bucket
from tests.support.s3_servers import Behaviour, Relay, Server, environment, forget_connections

ADDRESS = "a" * 64


Put = Callable[..., Any]


def _says_not_implemented(real: Put) -> Put:
    def put(path: str, value: bytes, mode: str = "overwrite") -> None:
        if mode == "create":
            answer = {"Error": {"Code": "NotImplemented"}, "ResponseMetadata": {"HTTPStatusCode": 501}}
            raise OSError("not implemented") from ClientError(answer, "PutObject")
        real(path, value)

    return put


def _ignores_the_condition(real: Put) -> Put:
    return lambda path, value, mode="overwrite": real(path, value)


@pytest.fixture(params=[_says_not_implemented, _ignores_the_condition])
def store(s3_root: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ArtifactStore:
    opened = ArtifactStore(s3_root)
    monkeypatch.setattr(opened._fs, "pipe_file", request.param(opened._fs.pipe_file))
    return opened


def _two_writers(store: ArtifactStore) -> tuple[Artifact, Artifact]:
    first, second = begin(store, ArtifactRef("words", ADDRESS)), begin(store, ArtifactRef("words", ADDRESS))
    for writer in (first, second):
        with writer.open("who") as handle:
            handle.write(writer.attempt.encode())
    with first, second:
        return first.commit(), second.commit()


@pytest.mark.parametrize("s3_root", ["moto"], indirect=True)
def test_two_writers_each_end_with_a_whole_artifact_that_the_store_can_read(store: ArtifactStore) -> None:
    for artifact in _two_writers(store):
        assert artifact.read_bytes("who").decode() == artifact.manifest.record["attempt"]
    assert store.verify(next(store.list())).ok


@pytest.mark.parametrize("s3_root", ["moto"], indirect=True)
@pytest.mark.parametrize("store", [_says_not_implemented], indirect=True)
def test_server_that_refuses_the_condition_is_asked_first_and_the_first_stands(store: ArtifactStore) -> None:
    first, second = _two_writers(store)
    assert first.manifest == second.manifest


@pytest.fixture
def relay(moto: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """A relay to which this process's stores talk."""
    with Relay(moto.url) as opened:
        for name, value in environment(opened.url, "30").items():
            monkeypatch.setenv(name, value)
        make_bucket("bucket")
        yield opened
    forget_connections()


def _warnings(store: ArtifactStore, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="latent"):
        store.check_writable()
    assert list(store.files()) == []
    return [message for message in caplog.messages if "conditional puts" in message]


def test_server_that_ignores_the_condition_is_warned_of_once_before_the_work(
    relay: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    store = ArtifactStore("s3://bucket/unconditional")
    assert _warnings(store, caplog) == []
    relay.turn(Behaviour.UNCONDITIONAL)
    (warning,) = _warnings(store, caplog)
    assert "ignores conditional puts" in warning and "let one run at a time use it" in warning


@pytest.mark.parametrize("s3_root", ["moto"], indirect=True)
@pytest.mark.parametrize("store", [_says_not_implemented], indirect=True)
def test_server_without_conditional_puts_is_warned_of(store: ArtifactStore, caplog: pytest.LogCaptureFixture) -> None:
    (warning,) = _warnings(store, caplog)
    assert "does not implement conditional puts" in warning


@pytest.mark.parametrize("s3_root", ["moto", "seaweed"], indirect=True)
def test_server_that_holds_to_the_condition_is_not_warned_of(s3_root: str, caplog: pytest.LogCaptureFixture) -> None:
    assert _warnings(ArtifactStore(s3_root), caplog) == []
