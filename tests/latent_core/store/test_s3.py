"""The store's promise on real S3 servers: conditional commits, and hits without a listing."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from pathlib import Path

import pyarrow as pa
import pytest

from latent_core.errors import InputError
from latent_core.identity import fingerprint
from latent_core.store import (
    Artifact,
    ArtifactRef,
    ArtifactStore,
    DamagedError,
    Manifest,
    begin,
    collect_garbage,
    find_garbage,
)

SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string())])
CONFIG = {"seed": 1}
ADDRESS = fingerprint("words", 1, CONFIG, {})


@pytest.fixture
def store(s3_root: str) -> ArtifactStore:
    return ArtifactStore(s3_root)


def _write(store: ArtifactStore, rows: int = 3) -> Artifact:
    with begin(store, ArtifactRef("words", ADDRESS)) as out:
        with out.table("words.parquet", SCHEMA) as table:
            table.extend({"id": index, "text": "x" * (index % 50)} for index in range(rows))
        with out.directory("model") as folder:
            (folder / "config.json").write_text("{}")
            (folder / "model.safetensors").write_bytes(bytes(range(256)) * 64)
        return out.commit(config=CONFIG, accounting={"kept": rows})


def test_committed_artifact_reads_back_is_listed_and_verified(store: ArtifactStore) -> None:
    store.check_writable()
    assert store.get("words", ADDRESS) is None and list(store.list()) == []
    artifact = _write(store, rows=10_000)
    assert [row["id"] for row in artifact.rows_of("words.parquet", ["id"])] == list(range(10_000))
    assert list(store.list()) == [artifact.ref] and store.verify(artifact.ref).ok
    assert store.find(f"words/{ADDRESS[:8]}") == artifact.ref
    assert pickle.loads(pickle.dumps(store)).require(artifact.ref).manifest == artifact.manifest


def test_model_directory_is_downloaded_once(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENT_CACHE", str(tmp_path))
    artifact = _write(store)
    folder = artifact.directory("model")
    assert folder.is_relative_to(tmp_path)
    assert (folder / "model.safetensors").read_bytes() == bytes(range(256)) * 64
    monkeypatch.setattr(store._fs, "get_file", None)  # a second download would call it
    assert artifact.directory("model") == folder


def test_attempt_without_commit_leaves_nothing_and_gc_removes_a_killed_one(store: ArtifactStore) -> None:
    with (
        pytest.raises(RuntimeError),
        begin(store, ArtifactRef("words", ADDRESS)) as out,
        out.table("words.parquet", SCHEMA) as table,
    ):
        table.add({"id": 1, "text": "x"})
        raise RuntimeError("stopped")
    assert store.get("words", ADDRESS) is None and list(store.files()) == []
    artifact = _write(store)
    killed = begin(store, ArtifactRef("words", ADDRESS))
    with killed.open("data") as handle:
        handle.write(b"half")
    garbage = find_garbage(store, grace=0)
    assert [item.folder for item in garbage.leftovers] == [f"{artifact.ref.key}/{killed.attempt}"]
    collect_garbage(store, garbage)
    assert find_garbage(store, grace=0).leftovers == [] and store.verify(artifact.ref).ok


def test_upload_that_a_killed_writer_never_finished_is_aborted_by_gc_when_it_is_old(store: ArtifactStore) -> None:
    artifact = _write(store)
    bucket, _, prefix = store._base.partition("/")
    for key in (f"{prefix}/{artifact.ref.key}/attempt-1/large", f"{prefix}-of-somebody-else/large"):
        store._fs.call_s3("create_multipart_upload", Bucket=bucket, Key=key)
    assert find_garbage(store, grace=1e10).uploads == []  # moto says 2010 of all uploads
    garbage = find_garbage(store, grace=0)
    assert [upload.key for upload in garbage.uploads] == [f"{artifact.ref.key}/attempt-1/large"]
    collect_garbage(store, garbage)
    collect_garbage(store, garbage)  # as by another process a moment later
    assert find_garbage(store, grace=0).uploads == [] and store.verify(artifact.ref).ok
    left = store._fs.call_s3("list_multipart_uploads", Bucket=bucket)["Uploads"]
    assert f"{prefix}-of-somebody-else/large" in {upload["Key"] for upload in left}


def test_lost_and_truncated_files_are_no_hit(store: ArtifactStore) -> None:
    artifact = _write(store)
    path = store._path(artifact.key("words.parquet"))
    store._fs.pipe_file(path, store._fs.cat_file(path)[:-1])
    with pytest.raises(DamagedError, match="bytes, its manifest says"):
        store.require(artifact.ref)
    store._fs.rm_file(path)
    assert store.get("words", ADDRESS) is None
    assert "words.parquet: missing" in store.verify(artifact.ref).problems
    store.set_aside(artifact.ref)
    store.set_aside(artifact.ref)  # as by another run a moment later
    assert _write(store).rows == 3


def test_second_manifest_is_refused_and_the_first_stands(store: ArtifactStore) -> None:
    first, second = begin(store, ArtifactRef("words", ADDRESS)), begin(store, ArtifactRef("words", ADDRESS))
    for writer in (first, second):
        with writer.open("who") as handle:
            handle.write(writer.attempt.encode())
    with first, second:
        assert first.commit().read_bytes("who") == first.attempt.encode()
        assert second.commit().read_bytes("who") == first.attempt.encode()
    assert store.verify(next(store.list())).ok and find_garbage(store, grace=0).leftovers == []


def test_put_that_is_sent_again_because_its_answer_was_lost_is_the_winner(store: ArtifactStore) -> None:
    with begin(store, ArtifactRef("words", ADDRESS)) as out:
        with out.open("who") as handle:
            handle.write(b"me")
        real = store._fs.pipe_file

        def twice(path: str, value: bytes, mode: str) -> None:
            real(path, value, mode=mode)
            real(path, value, mode=mode)

        store._fs.pipe_file = twice
        try:
            out.commit()
        finally:
            store._fs.pipe_file = real
    assert store.verify(next(store.list())).ok


def _race(root: str, barrier: object, answers: object) -> None:
    with begin(ArtifactStore(root), ArtifactRef("words", ADDRESS)) as out:
        with out.open("who") as handle:
            handle.write(str(os.getpid()).encode())
        barrier.wait()  # type: ignore[attr-defined]
        answers.put(out.commit().read_bytes("who"))  # type: ignore[attr-defined]


def test_racing_processes_agree_on_one_winner(s3_root: str) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(2), context.Queue()
    racers = [context.Process(target=_race, args=(s3_root, barrier, answers)) for _ in range(2)]
    for racer in racers:
        racer.start()
    assert len({answers.get(timeout=60) for _ in racers}) == 1
    for racer in racers:
        racer.join()


def test_hit_needs_no_listing(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = _write(store)
    called: list[str] = []
    real = type(store._fs)._call_s3

    async def recorded(self: object, method: str, *args: object, **kwargs: object) -> object:
        called.append(method)
        return await real(self, method, *args, **kwargs)

    monkeypatch.setattr(type(store._fs), "_call_s3", recorded)
    assert store.get("words", ADDRESS) is not None
    assert set(called) == {"get_object", "head_object"}
    assert len(called) <= len(artifact.manifest.content.files) + 2


def test_other_writers_artifact_is_seen_at_once(store: ArtifactStore, s3_root: str) -> None:
    assert list(store.list()) == []
    _write(ArtifactStore(s3_root))
    assert len(list(store.list())) == 1


def test_manifest_of_another_attempt_is_not_mine(store: ArtifactStore) -> None:
    artifact = _write(store)
    other = Manifest(artifact.manifest.content, artifact.manifest.record | {"attempt": "attempt-other"})
    assert store.put_manifest(artifact.manifest) and not store.put_manifest(other)


@pytest.mark.parametrize("timeout", ["0", "soon"])
def test_malformed_timeout_is_refused(timeout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENT_S3_TIMEOUT", timeout)
    with pytest.raises(InputError, match="LATENT_S3_TIMEOUT"):
        ArtifactStore("s3://bucket/prefix")
