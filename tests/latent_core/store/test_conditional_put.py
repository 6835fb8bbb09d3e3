"""Commits on S3 servers without conditional puts: documented, and never worse than a result that is there twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from latent_core.store import Artifact, ArtifactStore

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
    first, second = store.begin("words", ADDRESS), store.begin("words", ADDRESS)
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
