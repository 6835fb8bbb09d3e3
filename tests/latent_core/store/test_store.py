"""The store's promise: what has a manifest is whole, nothing else exists, and what is damaged is never trusted."""

from __future__ import annotations

import gc
import hashlib
import json
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from latent_core.errors import InputError
from latent_core.identity import canonical_json, fingerprint
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, DamagedError, Manifest, begin

SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string())])
CONFIG = {"seed": 1}
ADDRESS = fingerprint("words", 1, CONFIG, {})


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    """A local store, and one on a filesystem that is not local (fsspec's in-memory one)."""
    return ArtifactStore(tmp_path / "store" if request.param == "local" else f"memory://{tmp_path.name}")


def _write(store: ArtifactStore, rows: int = 3, stage: str = "words", address: str = ADDRESS) -> Artifact:
    with begin(store, ArtifactRef(stage, address)) as out:
        with out.table("words.parquet", SCHEMA) as table:
            table.extend({"id": index, "text": "x" * index} for index in range(rows))
        with out.directory("model") as folder:
            (folder / "config.json").write_text("{}")
        return out.commit(accounting={"kept": rows})


def _file(store: ArtifactStore, artifact: Artifact, name: str = "words.parquet") -> Path:
    path = store.local_path(artifact.key(name))
    assert path is not None
    return path


def test_committed_artifact_reads_back_rows_and_directory(store: ArtifactStore) -> None:
    artifact = _write(store, rows=10_000)
    assert artifact.rows == 10_000
    assert [row["id"] for row in artifact.rows_of("words.parquet", ["id"])] == list(range(10_000))
    assert (artifact.directory("model") / "config.json").read_text() == "{}"
    assert [ref.fingerprint for ref in store.list()] == [ADDRESS]


def test_short_address_finds_the_one_it_begins_or_says_how_to_go_on(store: ArtifactStore) -> None:
    for address in ("ab" + "0" * 62, "ac" + "0" * 62):
        _write(store, address=address)
    assert store.find("words/ab").fingerprint.startswith("ab")
    with pytest.raises(InputError, match=r"2 artifacts match 'words/a' in .*; give more digits$"):
        store.find("words/a")
    with pytest.raises(InputError, match=r"no artifact matches 'words/b' in .*; `latent artifacts ls` lists them$"):
        store.find("words/b")


def test_attempt_without_commit_leaves_nothing(store: ArtifactStore) -> None:
    with pytest.raises(RuntimeError), begin(store, ArtifactRef("words", ADDRESS)) as out:
        with out.table("words.parquet", SCHEMA) as table:
            table.add({"id": 1, "text": "x"})
        raise RuntimeError("killed")
    assert store.get("words", ADDRESS) is None
    assert list(store.list()) == []


def test_first_of_two_writers_wins_and_the_other_sees_it(store: ArtifactStore) -> None:
    first, second = begin(store, ArtifactRef("words", ADDRESS)), begin(store, ArtifactRef("words", ADDRESS))
    for writer, rows in ((first, 1), (second, 2)):
        with writer.table("words.parquet", SCHEMA) as table:
            table.extend({"id": index, "text": ""} for index in range(rows))
    assert first.commit().rows == 1
    assert second.commit().rows == 1
    artifact = store.get("words", ADDRESS)
    assert artifact is not None and artifact.rows == 1


def _race(root: str, barrier: object, answers: object) -> None:
    store = ArtifactStore(root)
    with begin(store, ArtifactRef("words", ADDRESS)) as out:
        with out.open("who") as handle:
            handle.write(str(multiprocessing.current_process().pid).encode())
        barrier.wait()  # type: ignore[attr-defined]
        answers.put(out.commit().read_bytes("who"))  # type: ignore[attr-defined]


def test_racing_processes_agree_on_one_winner(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(4), context.Queue()
    racers = [context.Process(target=_race, args=(str(tmp_path), barrier, answers)) for _ in range(4)]
    for racer in racers:
        racer.start()
    seen = {answers.get(timeout=60) for _ in racers}
    for racer in racers:
        racer.join()
    assert len(seen) == 1


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(bytes(raw))


@pytest.mark.parametrize("name", ["words.parquet", "model/config.json"])
@pytest.mark.parametrize("harm", [Path.unlink, _truncate])
def test_missing_or_truncated_file_is_no_hit(tmp_path: Path, harm: object, name: str) -> None:
    store = ArtifactStore(tmp_path)
    harm(_file(store, _write(store), name))  # type: ignore[operator]
    assert store.get("words", ADDRESS) is None
    problems = store.verify(next(store.list())).problems
    assert len(problems) == 1 and name in problems[0]


def test_flipped_bit_is_named_by_verify(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    artifact = _write(store)
    assert store.verify(artifact.ref).ok
    _flip(_file(store, artifact))
    assert "words.parquet" in store.verify(artifact.ref).problems[0]


def test_manifest_edited_by_hand_is_refused(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    artifact = _write(store)
    path = store.local_path(f"{artifact.ref.key}/manifest.json")
    assert path is not None
    manifest = json.loads(path.read_text())
    manifest["content"]["accounting"]["kept"] = 99
    path.write_text(json.dumps(manifest))
    with pytest.raises(DamagedError, match="altered"):
        store.require(artifact.ref)


def _edited(attempt: str | None = None, **content: object) -> Callable[[Path], None]:
    """A manifest edited by hand and sealed again."""

    def edit(path: Path) -> None:
        body = json.loads(path.read_text())
        del body["seal"]
        body["content"] |= content
        body["record"] |= {} if attempt is None else {"attempt": attempt}
        path.write_text(json.dumps(body | {"seal": hashlib.sha256(canonical_json(body).encode()).hexdigest()}))

    return edit


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


FILE = {"path": "words.parquet", "bytes": 1, "sha256": "0" * 64, "rows": 1}
SHARD = {"stage": "words", "fingerprint": ADDRESS, "content_sha256": "0" * 64, "rows": 1}
HARM_TO_MANIFEST: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_text(""),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "no object": lambda path: path.write_text("[]"),
    "no end": lambda path: path.write_text("[" * 100_000),
    "no end of objects": lambda path: path.write_text('{"seal":' * 100_000),
    "a folder": _folder,
    "a circle of links": _loop,
    "path outside": _edited(files=[FILE | {"path": "../../x"}]),
    "path of another type": _edited(files=[FILE | {"path": 5}]),
    "size of another type": _edited(files=[FILE | {"bytes": "1"}]),
    "shard outside": _edited(shards=[SHARD | {"stage": "../x"}]),
    "of another artifact": _edited(stage="others"),
    "attempt outside": _edited(attempt="../x", files=[]),
    "itself as a shard": _edited(shards=[SHARD]),
}


@pytest.mark.parametrize("harm", HARM_TO_MANIFEST.values(), ids=HARM_TO_MANIFEST)
def test_manifest_harmed_in_any_way_is_no_hit_and_named_by_verify(
    tmp_path: Path, harm: Callable[[Path], object]
) -> None:
    store = ArtifactStore(tmp_path)
    artifact = _write(store)
    path = store.local_path(f"{artifact.ref.key}/manifest.json")
    assert path is not None
    harm(path)
    assert store.get("words", ADDRESS) is None
    assert store.verify(artifact.ref).problems[0].startswith("manifest.json")
    assert not any(isinstance(manifest, Manifest) for _, manifest in store.committed())


@pytest.mark.parametrize("harm", [_folder, _loop])
def test_something_else_where_a_file_was_is_no_hit_and_named_by_verify(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    store = ArtifactStore(tmp_path)
    artifact = _write(store)
    harm(_file(store, artifact))
    assert store.get("words", ADDRESS) is None
    assert store.verify(artifact.ref).problems[0].startswith("words.parquet")


def test_row_that_does_not_fit_is_one_error_and_leaves_nothing(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ignored: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)

    def write() -> None:
        with begin(store, ArtifactRef("words", ADDRESS)) as out, out.table("words.parquet", SCHEMA) as table:
            table.add({"id": "one", "text": "x"})

    with pytest.raises(InputError, match="columns: id must hold int64"):
        write()
    gc.collect()  # a Parquet writer that was not let go of would write its footer now, into a closed file
    assert ignored == []
    assert list(store.files()) == []


def test_manifest_that_names_a_path_outside_is_refused(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    with (
        begin(store, ArtifactRef("words", ADDRESS)) as out,
        pytest.raises(InputError, match="relative"),
        out.open("../escape"),
    ):
        pass


def test_damaged_artifact_set_aside_can_be_written_again(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    artifact = _write(store)
    _file(store, artifact).unlink()
    store.set_aside(artifact.ref)
    _write(store)
    assert store.get("words", ADDRESS) is not None


def test_content_of_equal_work_is_equal_whatever_the_attempt(tmp_path: Path) -> None:
    contents = {_write(ArtifactStore(tmp_path / name)).manifest.content.sha256 for name in ("a", "b")}
    assert len(contents) == 1


def test_sharded_artifact_streams_its_shards_and_notices_a_lost_one(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    addresses = [fingerprint("words", 1, {"shard": index}, {}) for index in range(3)]
    shards = [_write(store, rows=2, address=address) for address in addresses]
    whole = fingerprint("merged", 1, {}, {})
    with begin(store, ArtifactRef("merged", whole)) as out:
        for shard in shards:
            out.add_shard(shard)
        merged = out.commit()
    assert merged.rows == 6
    assert [row["id"] for row in merged.rows_of("words.parquet")] == [0, 1, 0, 1, 0, 1]
    assert merged.manifest.content.files == ()
    _file(store, shards[1]).unlink()
    assert store.get("merged", whole) is None
    assert store.verify(merged.ref).problems[0].startswith(f"words/{addresses[1][:12]}")


def test_commit_under_another_configurations_address_raises(store: ArtifactStore) -> None:
    with begin(store, ArtifactRef("words", ADDRESS)) as out, pytest.raises(InputError, match="fingerprint"):
        out.commit(config={"seed": 2})


def test_row_with_a_missing_column_raises(store: ArtifactStore) -> None:
    with (
        begin(store, ArtifactRef("words", ADDRESS)) as out,
        pytest.raises(InputError, match="columns"),
        out.table("words.parquet", SCHEMA) as table,
    ):
        table.add({"id": 1})


def test_reading_a_missing_column_raises(store: ArtifactStore) -> None:
    with pytest.raises(InputError, match="nothing_like_it"):
        list(_write(store).batches("words.parquet", ["nothing_like_it"]))


@pytest.mark.parametrize(("stage", "address"), [("words", "abc"), ("../x", ADDRESS), ("Words", ADDRESS)])
def test_malformed_address_raises(stage: str, address: str) -> None:
    with pytest.raises(InputError):
        ArtifactRef(stage, address)


def test_store_that_cannot_be_written_raises_naming_the_field(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "file" / "store")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"store: .* cannot be written"):
        store.check_writable()


def test_writable_store_keeps_nothing_of_the_probe(store: ArtifactStore) -> None:
    store.check_writable()
    assert list(store.list()) == []
