"""Garbage collection: leftovers go, kept results and all they were made from stay."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from latent_core.errors import InputError
from latent_core.identity import fingerprint
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, Reference, begin, collect_garbage, find_garbage


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store" if request.param == "local" else f"memory://{tmp_path.name}-gc")


def _write(
    store: ArtifactStore, name: str, parents: Mapping[str, Reference] | None = None, *shards: Artifact
) -> Artifact:
    config = {"name": name}
    parents = parents or {}
    fingerprints = {role: parent.fingerprint for role, parent in parents.items()}
    with begin(store, ArtifactRef("stage", fingerprint("stage", 1, config, fingerprints))) as out:
        with out.open("data") as handle:
            handle.write(name.encode())
        for shard in shards:
            out.add_shard(shard)
        return out.commit(config=config, parents=parents)


def _killed_attempt(store: ArtifactStore, ref: ArtifactRef) -> str:
    """Files of an attempt that never got to its commit, as SIGKILL leaves them."""
    writer = begin(store, ref)
    with writer.open("data") as handle:
        handle.write(b"half")
    return f"{ref.key}/{writer.attempt}"


def _leftovers(store: ArtifactStore, grace: float = 0) -> list[str]:
    return [item.folder for item in find_garbage(store, grace=grace).leftovers]


def test_killed_attempt_is_a_leftover_and_the_artifact_beside_it_is_not(store: ArtifactStore) -> None:
    artifact = _write(store, "a")
    killed = _killed_attempt(store, artifact.ref)
    lonely = _killed_attempt(store, ArtifactRef("stage", "f" * 64))
    assert sorted(_leftovers(store)) == sorted([killed, lonely])
    collect_garbage(store, find_garbage(store, grace=0))
    assert _leftovers(store) == []
    assert store.verify(artifact.ref).ok
    assert all("attempt" not in key or artifact.manifest.record["attempt"] in key for key, _ in store.files())


def test_writer_killed_before_its_first_file_or_at_its_commit_leaves_nothing_that_gc_does_not_see(
    tmp_path: Path,
) -> None:
    store = ArtifactStore(tmp_path)
    artifact = _write(store, "a")
    folder = tmp_path / artifact.ref.key
    (folder / "attempt-1" / "model").mkdir(parents=True)
    (folder / ".manifest.json.attempt-2").write_bytes(b"{")
    (tmp_path / ".probe-3").write_bytes(b"probe")
    (tmp_path / ".runs").mkdir()
    (tmp_path / ".runs" / "4.json").write_bytes(b"{}")
    expected = [".probe-3", f"{artifact.ref.key}/.manifest.json.attempt-2", f"{artifact.ref.key}/attempt-1"]
    assert sorted(_leftovers(store)) == expected
    assert _leftovers(store, grace=3600) == []
    collect_garbage(store, find_garbage(store, grace=0))
    assert sorted(path.name for path in folder.iterdir()) == [str(artifact.manifest.record["attempt"]), "manifest.json"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == [".runs"]
    assert store.verify(artifact.ref).ok


def test_young_leftover_may_be_running_and_stays(store: ArtifactStore) -> None:
    killed = _killed_attempt(store, ArtifactRef("stage", "f" * 64))
    garbage = find_garbage(store, grace=3600)
    assert garbage.leftovers == [] and [item.folder for item in garbage.too_young] == [killed]


def test_artifacts_behind_a_kept_one_stay_and_the_rest_goes(store: ArtifactStore) -> None:
    shard, parent, stray = _write(store, "shard"), _write(store, "parent"), _write(store, "stray")
    behind = {"model": Reference("stage", parent.ref.fingerprint), "outside": Reference(None, "0" * 64)}
    grandchild = _write(store, "child", behind, shard)
    garbage = find_garbage(store, [grandchild.ref])
    assert garbage.unreachable == [stray.ref] and garbage.bytes == len("stray")
    collect_garbage(store, garbage)
    assert set(store.list()) == {shard.ref, parent.ref, grandchild.ref}
    assert all(store.verify(ref).ok for ref in store.list())
    assert _leftovers(store) == []


def test_without_roots_no_artifact_is_garbage(store: ArtifactStore) -> None:
    _write(store, "a")
    assert find_garbage(store).unreachable == []


def test_files_of_a_set_aside_artifact_are_leftovers(store: ArtifactStore) -> None:
    artifact = _write(store, "a")
    store.set_aside(artifact.ref)
    assert _leftovers(store) == [f"{artifact.ref.key}/{artifact.manifest.record['attempt']}"]


def test_root_that_does_not_exist_is_refused_before_anything_is_judged(store: ArtifactStore) -> None:
    _write(store, "a")
    with pytest.raises(InputError, match="not in the store"):
        find_garbage(store, [ArtifactRef("stage", "f" * 64)])


def test_empty_store_has_no_garbage(tmp_path: Path) -> None:
    assert find_garbage(ArtifactStore(tmp_path / "nothing"), grace=0).bytes == 0
