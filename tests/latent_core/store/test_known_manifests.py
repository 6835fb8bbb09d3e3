"""Many artifacts of a remote store: a manifest is read once by a machine, and never believed after it changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from latent_core.identity import fingerprint
from latent_core.store import (
    ArtifactRef,
    ArtifactStore,
    DamagedError,
    Manifest,
    begin,
    collect_garbage,
    find_garbage,
    known,
)

pytestmark = pytest.mark.parametrize("s3_root", ["moto"], indirect=True)


@pytest.fixture
def store(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> ArtifactStore:
    monkeypatch.setattr(known, "_FEW", 1)
    return ArtifactStore(s3_root)


@pytest.fixture
def reads(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that are read from the server, as they are read."""
    seen: list[str] = []
    real: Callable[[Sequence[str]], object] = store.read_many

    def read_many(keys: Sequence[str]) -> object:
        seen.extend(keys)
        return real(keys)

    monkeypatch.setattr(store, "read_many", read_many)
    return seen


def _write(store: ArtifactStore, name: str) -> ArtifactRef:
    config = {"name": name}
    with begin(store, ArtifactRef("words", fingerprint("words", 1, config, {}))) as out:
        with out.open("data") as handle:
            handle.write(name.encode())
        return out.commit(config=config).ref


def _attempts(store: ArtifactStore) -> dict[ArtifactRef, object]:
    return {ref: seen.record["attempt"] if isinstance(seen, Manifest) else "damaged" for ref, seen in store.committed()}


def test_second_look_reads_only_what_is_new(store: ArtifactStore, reads: list[str]) -> None:
    for name in "ab":
        _write(store, name)
    first = _attempts(store)
    assert len(reads) == 2
    assert _attempts(store) == first and len(reads) == 2
    new = _write(store, "c")
    assert set(_attempts(store)) == {*first, new}
    assert reads[2:] == [f"{new.key}/manifest.json"]


def test_artifact_that_was_computed_again_is_read_again(store: ArtifactStore, reads: list[str]) -> None:
    ref = _write(store, "a")
    before = _attempts(store)
    store.set_aside(ref)
    assert _attempts(store) == {}
    _write(store, "a")
    assert _attempts(store) == {ref: store.manifest(ref).record["attempt"]} != before


def test_manifest_edited_in_the_store_is_damaged_whatever_was_known(store: ArtifactStore) -> None:
    ref = _write(store, "a")
    _attempts(store)
    store.replace(
        f"{ref.key}/manifest.json", store.read(f"{ref.key}/manifest.json").replace(b'"rows": 0', b'"rows": 9')
    )
    for _ in range(2):
        assert [type(seen) for _, seen in store.committed()] == [DamagedError]


def test_cache_edited_by_hand_is_not_believed(store: ArtifactStore, reads: list[str], tmp_path: Path) -> None:
    _write(store, "a")
    first = _attempts(store)
    (path,) = tmp_path.rglob("*.sqlite")
    with sqlite3.connect(path) as database:
        database.execute("""UPDATE manifests SET raw = replace(CAST(raw AS TEXT), 'attempt-', 'attempt-x')""")
    assert _attempts(store) == first and len(reads) == 2


def test_cache_that_cannot_be_used_costs_a_warning(
    store: ArtifactStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _write(store, "a")
    first = _attempts(store)
    (path,) = tmp_path.rglob("*.sqlite")
    path.write_bytes(b"not a database" * 100)
    assert _attempts(store) == first
    assert [message for message in caplog.messages if "cannot be used" in message]


def test_cache_forgets_what_the_store_no_longer_has(store: ArtifactStore, tmp_path: Path) -> None:
    kept, gone = _write(store, "a"), _write(store, "b")
    _attempts(store)
    store.set_aside(gone)
    _attempts(store)
    (path,) = tmp_path.rglob("*.sqlite")
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT key FROM manifests").fetchall() == [(kept.key,)]


def test_many_artifacts_are_deleted_together_and_what_was_computed_again_meanwhile_stays(store: ArtifactStore) -> None:
    refs = [_write(store, str(index)) for index in range(30)]
    keep, again, killed = refs[0], refs[1], begin(store, ArtifactRef("words", "f" * 64))
    with killed.open("half*[1]") as handle:
        handle.write(b"half")
    garbage = find_garbage(store, [keep], grace=0)
    assert len(garbage.unreachable) == 29 and len(garbage.leftovers) == 1
    store.set_aside(again)
    _write(store, str(1))
    collect_garbage(store, garbage)
    assert set(_attempts(store)) == {keep, again}
    assert store.verify(keep).ok and store.verify(again).ok
    assert {key.split("/")[1] for key, _ in store.files()} == {keep.fingerprint, again.fingerprint}


def test_attempt_that_committed_after_gc_looked_keeps_its_files(store: ArtifactStore) -> None:
    with begin(store, ArtifactRef("words", "a" * 64)) as out:
        with out.open("data") as handle:
            handle.write(b"slow")
        garbage = find_garbage(store, grace=0)
        assert len(garbage.leftovers) == 1
        ref = out.commit().ref
    collect_garbage(store, garbage)
    assert store.verify(ref).ok
