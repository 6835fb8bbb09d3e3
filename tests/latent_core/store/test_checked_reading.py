"""Every way to read an artifact: what is not as it was written is refused by name, and what is, is hashed once."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from latent_core.errors import InputError
from latent_core.identity import fingerprint
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, DamagedError, begin, checks, hashing
from latent_core.store.manifest import StoredFile
from latent_core.store.root import Root

SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string())])
ADDRESS = fingerprint("words", 1, {"seed": 1}, {})
ROWS = 200


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def _write(store: ArtifactStore, stage: str = "words") -> Artifact:
    with begin(store, ArtifactRef(stage, ADDRESS)) as out:
        with out.table("words.parquet", SCHEMA) as table:
            table.extend({"id": index, "text": f"word {index}"} for index in range(ROWS))
        with out.open("page.html") as page:
            page.write(b"<p>104 tokens</p>")
        with out.directory("model") as folder:
            (folder / "config.json").write_text("{}")
            (folder / "model.safetensors").write_bytes(bytes(range(256)))
        return out.commit()


def _merged(store: ArtifactStore) -> Artifact:
    shard = _write(store, "shard")
    with begin(store, ArtifactRef("merged", ADDRESS)) as out:
        out.add_shard(shard)
        return out.commit()


def _path(artifact: Artifact, name: str) -> Path:
    path = artifact.store.local_path(artifact.key(name))
    assert path is not None
    return path


def _flip(path: Path, bit: int) -> None:
    """In place, as a disk does it: size, name and inode stay."""
    with path.open("r+b") as handle:
        handle.seek(bit // 8)
        byte = handle.read(1)[0] ^ (1 << bit % 8)
        handle.seek(bit // 8)
        handle.write(bytes([byte]))


def _age(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let so much time pass that the file's state can be told from that of a later write."""
    later = path.stat().st_ctime_ns + 10 * checks._SETTLED_NS
    monkeypatch.setattr(checks.time, "time_ns", lambda: later)


READERS: dict[str, Callable[[Artifact], Any]] = {
    "words.parquet": lambda artifact: list(artifact.rows_of("words.parquet", ["id"])),
    "page.html": lambda artifact: artifact.read_bytes("page.html"),
    "model/model.safetensors": lambda artifact: artifact.directory("model"),
}


@pytest.mark.parametrize("name", READERS)
def test_reading_a_file_with_any_bit_flipped_is_refused_with_its_name_and_the_fix(
    store: ArtifactStore, name: str
) -> None:
    artifact = _write(store)
    path = _path(artifact, name)
    bits = range(8 * path.stat().st_size)
    for bit in random.Random(7).sample(bits, 60):
        READERS[name](artifact)
        _flip(path, bit)
        with pytest.raises(DamagedError, match=rf"^words/\w{{12}} is damaged: {name}: its bytes .*run again what"):
            READERS[name](artifact)
        _flip(path, bit)


def test_reading_merged_rows_is_refused_by_the_shard_that_is_damaged(store: ArtifactStore) -> None:
    merged = _merged(store)
    assert len(list(merged.rows_of("words.parquet"))) == ROWS and merged.problems() == []
    _flip(_path(merged.shards()[0], "words.parquet"), 77)
    with pytest.raises(DamagedError, match=r"^shard/"):
        list(merged.rows_of("words.parquet"))
    assert [problem.partition(":")[0] for problem in merged.problems()] == [str(merged.shards()[0].ref)]
    with pytest.raises(DamagedError, match=r"^merged/.* shard/.* words\.parquet"):
        merged.check()


def test_file_of_unchanged_state_is_hashed_once_and_a_changed_one_again(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = _write(store)
    path = _path(artifact, "words.parquet")
    _age(path, monkeypatch)
    hashed: list[str] = []
    hash_problem = hashing.hash_problem

    def counted(root: Root, key: str, item: StoredFile) -> str | None:
        hashed.append(item.path)
        return hash_problem(root, key, item)

    monkeypatch.setattr(hashing, "hash_problem", counted)
    for _ in range(3):
        READERS["words.parquet"](ArtifactStore(store.root).require(artifact.ref))
    assert hashed == ["words.parquet"]
    _flip(path, 5)
    with pytest.raises(DamagedError):
        READERS["words.parquet"](artifact)
    _flip(path, 5)
    READERS["words.parquet"](artifact)
    assert hashed == ["words.parquet"] * 3


def test_large_file_is_not_hashed_by_the_next_process_while_its_state_is_the_same(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LATENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(checks, "LARGE", 1)
    artifact = _write(store)
    path = _path(artifact, "page.html")
    _age(path, monkeypatch)
    hashed: list[str] = []
    hash_problem = hashing.hash_problem

    def counted(root: Root, key: str, item: StoredFile) -> str | None:
        hashed.append(item.path)
        return hash_problem(root, key, item)

    def next_process() -> None:
        monkeypatch.setattr(hashing, "CHECKED", checks.CheckedFiles())

    monkeypatch.setattr(hashing, "hash_problem", counted)
    for _ in range(2):
        next_process()
        artifact.read_bytes("page.html")
    assert hashed == ["page.html"]
    next_process()
    _flip(path, 3)
    with pytest.raises(DamagedError):
        artifact.read_bytes("page.html")
    _flip(path, 3)
    (tmp_path / "cache" / "checked.sqlite").write_bytes(b"no database")
    next_process()
    artifact.read_bytes("page.html")
    assert hashed == ["page.html"] * 3


def test_flip_that_restores_size_and_time_of_the_last_write_is_seen(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = _write(store)
    path = _path(artifact, "words.parquet")
    _age(path, monkeypatch)
    READERS["words.parquet"](artifact)
    before = path.stat()
    _flip(path, 999)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns and path.stat().st_size == before.st_size
    with pytest.raises(DamagedError):
        READERS["words.parquet"](artifact)


def test_file_that_was_just_written_is_not_remembered(store: ArtifactStore) -> None:
    """A second write within the same tick of the filesystem's clock would not show."""
    artifact = _write(store)
    assert store.state(artifact.key("words.parquet")) is None


def test_trusted_reading_of_damaged_bytes_is_no_traceback_of_the_parquet_library(store: ArtifactStore) -> None:
    artifact = _write(store)
    path = _path(artifact, "words.parquet")
    for bit in (3, 8 * (path.stat().st_size - 1), 8 * (path.stat().st_size - 40), 8 * 30):
        _flip(path, bit)
        try:
            READERS["words.parquet"](artifact.trusted())
        except DamagedError as error:
            assert "words.parquet" in str(error)
        _flip(path, bit)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DamagedError, match=r"words\.parquet"):
        READERS["words.parquet"](artifact.trusted())


def test_name_that_the_manifest_does_not_list_is_not_read(store: ArtifactStore) -> None:
    artifact = _write(store)
    _path(artifact, "page.html").with_name("other.html").write_text("not mine")
    with pytest.raises(InputError, match=r"has no file 'other\.html'"):
        artifact.read_bytes("other.html")


def test_copy_of_a_remote_directory_that_was_damaged_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENT_CACHE", str(tmp_path))
    artifact = _write(ArtifactStore(f"memory://{tmp_path.name}"))
    weights = artifact.directory("model") / "model.safetensors"
    _flip(weights, 64)
    assert (artifact.directory("model") / "model.safetensors").read_bytes() == bytes(range(256))


def test_state_in_which_a_file_had_one_hash_says_nothing_of_another() -> None:
    known = checks.CheckedFiles()
    known.remember("here", "state", "a" * 64, 1)
    assert known.knows("here", "state", "a" * 64, 1)
    assert not known.knows("here", "state", "b" * 64, 1) and not known.knows("here", "later", "a" * 64, 1)
