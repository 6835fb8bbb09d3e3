"""Manifests of both formats are read alike, and equal work has one digest whichever wrote it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from latent_core.identity import canonical_json, fingerprint
from latent_core.store import ArtifactRef, ArtifactStore, DamagedError, Manifest, Reference, begin, find_garbage

GOLDENS = Path(__file__).parent / "goldens"
EVALUATED = ArtifactRef("evaluate", "eac00833270f4c98246c2551a042e6391b7d06b8e1268fce53c3ebd597c08c5a")
TRAINED = ArtifactRef("train", "e373664847a27adfc7975870b330071322e46097f986950b97992abeebdb2525")
PROBLEMS = "ab" * 32
DIGEST = "93b91a6b4c4caeb2dcccaa9653c3d3487ced5309362ae7456a9fc169d7dcec62"


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store" if request.param == "local" else f"memory://{tmp_path.name}-formats")


def _put(store: ArtifactStore, raw: bytes) -> None:
    """The golden evaluation, with the bytes of a manifest as some release wrote them."""
    attempt = json.loads(raw)["record"]["attempt"]
    with store.open_for_writing(f"{EVALUATED.key}/{attempt}/words.txt") as file:
        file.write("zwölf\n".encode())
    store.replace(f"{EVALUATED.key}/manifest.json", raw)


def _train(store: ArtifactStore) -> None:
    with begin(store, TRAINED) as out:
        out.commit(stage_version=2, config={"steps": 1})


def _golden(number: int) -> bytes:
    return (GOLDENS / f"format_{number}.json").read_bytes()


@pytest.mark.parametrize("number", [1, 2])
def test_manifest_of_each_format_is_read_alike(store: ArtifactStore, number: int) -> None:
    _train(store)
    _put(store, _golden(number))
    artifact = store.require(EVALUATED)
    content = artifact.manifest.content
    assert content.parents == {"model": Reference("train", TRAINED.fingerprint), "problems": Reference(None, PROBLEMS)}
    assert content.parents["model"].ref == TRAINED and content.parents["problems"].ref is None
    assert content.identity == {"questions": 2, "ratio": 0.5} and content.accounting == {"kept": 2, "too_long": 1}
    assert artifact.read_bytes("words.txt").decode() == "zwölf\n"
    assert store.verify(EVALUATED).ok


@pytest.mark.parametrize("number", [1, 2])
def test_digest_that_pins_a_shard_is_the_same_in_each_format(number: int) -> None:
    def never(fingerprint: str) -> str | None:
        raise AssertionError("a digest needs no look into the store")

    assert Manifest.from_bytes(_golden(number), EVALUATED, never).content.sha256 == DIGEST


def test_commit_writes_the_golden_of_format_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latent_core.store.writer.time.time", lambda: 1000.5)
    store = ArtifactStore(tmp_path)
    parents = {"model": TRAINED, "problems": Reference(None, PROBLEMS)}
    with begin(store, EVALUATED) as out:
        out.attempt = f"attempt-{0:032}"
        with out.open("words.txt") as file:
            file.write("zwölf\n".encode())
        out.commit(
            stage_version=3,
            config={"ratio": 0.5, "questions": 2},
            parents=parents,
            rows=2,
            accounting={"kept": 2, "too_long": 1},
            metrics={"accuracy": {"value": 0.5}},
            record={"environment": {"commit": "0000000"}, "seconds": 2.25},
        )
    assert store.read(f"{EVALUATED.key}/manifest.json") == _golden(2)


@pytest.mark.parametrize("number", [1, 2])
def test_parent_that_is_gone_is_known_to_be_an_artifact_from_format_2_on(store: ArtifactStore, number: int) -> None:
    _put(store, _golden(number))
    parent = store.require(EVALUATED).manifest.content.parents["model"]
    assert (parent.stage, parent.fingerprint) == ("train" if number == 2 else None, TRAINED.fingerprint)


@pytest.mark.parametrize("number", [1, 2])
def test_garbage_collection_keeps_what_a_manifest_of_either_format_was_made_from(
    store: ArtifactStore, number: int
) -> None:
    _train(store)
    _put(store, _golden(number))
    stray = ArtifactRef("train", fingerprint("train", 2, {"steps": 2}, {}))
    with begin(store, stray) as out:
        out.commit()
    assert find_garbage(store, [EVALUATED]).unreachable == [stray]


@pytest.mark.parametrize("number", [1, 2])
def test_shard_that_either_format_wrote_stays_the_one_that_was_merged(store: ArtifactStore, number: int) -> None:
    _put(store, _golden(3 - number))
    whole = ArtifactRef("merged", fingerprint("merged", 1, {}, {}))
    with begin(store, whole) as out:
        out.add_shard(store.require(EVALUATED))
        out.commit()
    store.replace(f"{EVALUATED.key}/manifest.json", _golden(number))
    assert [shard.ref for shard in store.require(whole).shards()] == [EVALUATED]


@pytest.mark.parametrize("number", [1, 2])
def test_listing_one_stage_reads_the_parents_of_each_format(store: ArtifactStore, number: int) -> None:
    _train(store)
    _put(store, _golden(number))
    for stage in (None, "evaluate"):
        manifests = dict(store.committed(stage))
        found = manifests[EVALUATED]
        assert isinstance(found, Manifest) and found.content.parents["model"].stage == "train"


def test_unknown_format_is_one_clear_error(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    body = json.loads(_golden(2)) | {"format": 3}
    del body["seal"]
    seal = hashlib.sha256(canonical_json(body).encode()).hexdigest()
    _put(store, json.dumps(body | {"seal": seal}).encode())
    with pytest.raises(DamagedError, match=r"manifest format 3 is not one that this release reads \(1, 2\)"):
        store.require(EVALUATED)
    assert store.get(EVALUATED.stage, EVALUATED.fingerprint) is None


@pytest.mark.parametrize("parent", ["f" * 64, {"fingerprint": "f" * 64}, {"stage": "../x", "fingerprint": "f" * 64}])
def test_parent_that_is_no_reference_makes_a_manifest_unreadable(tmp_path: Path, parent: object) -> None:
    store = ArtifactStore(tmp_path)
    body = json.loads(_golden(2))
    del body["seal"]
    body["content"]["parents"]["model"] = parent
    seal = hashlib.sha256(canonical_json(body).encode()).hexdigest()
    _put(store, json.dumps(body | {"seal": seal}).encode())
    with pytest.raises(DamagedError, match="cannot be read"):
        store.require(EVALUATED)
