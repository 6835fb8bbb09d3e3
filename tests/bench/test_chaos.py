"""The chaos run's own eyes: it sees what must not be, and the kills it draws are seeded and reach every stage."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.chaos import audit
from bench.chaos.kills import Kind, Tally, draw_kills
from bench.chaos.rounds import disturbed_round, undisturbed_run
from bench.chaos.victims import Victim, running_server
from bench.chaos.watch import CommitWatch, Event, WorkerLogs
from latent_core.identity import fingerprint
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, begin


def _write(store: ArtifactStore, name: str, text: bytes = b"x") -> Artifact:
    config = {"name": name}
    with begin(store, ArtifactRef("stage", fingerprint("stage", 1, config, {}))) as out:
        with out.open("file") as handle:
            handle.write(text)
        return out.commit(config=config)


def test_equal_stores_differ_in_nothing_and_each_difference_is_named(tmp_path: Path) -> None:
    left, right = ArtifactStore(tmp_path / "left"), ArtifactStore(tmp_path / "right")
    for store in (left, right):
        _write(store, "same")
    assert list(audit.differences(tmp_path / "left", tmp_path / "right")) == []
    missing, other = _write(left, "missing").ref, _write(left, "other", b"a").ref
    _write(right, "other", b"b")
    extra = _write(right, "extra").ref
    found = set(audit.differences(tmp_path / "left", tmp_path / "right"))
    assert found == {
        f"{missing.key}: is missing",
        f"{extra.key}: should not be there",
        f"{other.key}: its content differs from the undisturbed run's",
    }


def test_second_commit_and_work_after_a_commit_are_seen(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    watch = CommitWatch(tmp_path)
    artifact = _write(store, "a")
    watch.look()
    before, after = (
        Event(watch.committed_at[artifact.ref.key] + seconds, 1, True, artifact.ref.key) for seconds in (-1, 1)
    )
    assert list(audit.computed_again([before], watch)) == []
    assert "after its commit" in next(audit.computed_again([before, after], watch))
    store.set_aside(artifact.ref)
    _write(store, "a")
    watch.look()
    assert f"{artifact.ref.key}: was committed 2 times" in list(audit.computed_again([], watch))


def test_leftovers_go_and_what_garbage_collection_leaves_is_named(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    folder = tmp_path / _write(store, "a").ref.key
    (folder / "attempt-1").mkdir()
    (folder / "attempt-1" / "half").write_bytes(b"half")
    (tmp_path / ".runs").mkdir()
    (tmp_path / ".runs" / "one.json").write_text("{}")
    assert list(audit.left_after_gc(tmp_path)) == []
    (tmp_path / "stray").write_bytes(b"?")
    (found,) = audit.left_after_gc(tmp_path)
    assert found == "stray: still there after gc"


def test_worker_logs_tell_each_event_once_and_wait_for_whole_lines(tmp_path: Path) -> None:
    key = f"stage/{'a' * 64}"
    log = tmp_path / "worker-1-0.log"
    stamp = datetime(2026, 1, 1, tzinfo=UTC)
    line = f"{stamp.isoformat()} 7 stage 1/2: started {key}\n"
    log.write_text(f"noise\n{line}{line[:30]}")
    logs = WorkerLogs(tmp_path)
    assert list(logs.new_events()) == [Event(stamp.timestamp(), 7, True, key)]
    assert list(logs.new_events()) == []
    with log.open("a") as handle:
        handle.write(line[30:].replace("started", "done"))
    assert [event.is_start for event in logs.new_events()] == [False]


def test_living_worker_is_a_survivor() -> None:
    assert list(audit.survivors([Event(0.0, os.getpid(), True, "stage/x")])) == [
        f"worker {os.getpid()}: is still alive"
    ]


def test_kills_are_seeded_and_reach_every_stage_before_any_artifact_twice() -> None:
    durations = {f"{stage}/{number}": 1.0 for stage in ("a", "b") for number in range(3)}
    counts = {Kind.WORKER: 4, Kind.GROUP: 2}
    first, again = (draw_kills(durations, counts, random.Random(5)) for _ in range(2))
    assert first == again != draw_kills(durations, counts, random.Random(6))
    assert {key: len(kills) for key, kills in first.items()} == dict.fromkeys(durations, 1)


@pytest.mark.slow
def test_few_kills_of_every_kind_leave_what_an_undisturbed_run_leaves(tmp_path: Path) -> None:
    tally = Tally()
    counts = {Kind.WORKER: 8, Kind.GROUP: 1, Kind.RUN: 1, Kind.SERVER: 1}
    with running_server(tmp_path) as server:
        undisturbed = Victim(tmp_path / "undisturbed", server.environment, workers=2)
        durations = undisturbed_run(undisturbed)
        victim = Victim(tmp_path / "disturbed", server.environment, workers=2)
        problems = disturbed_round(victim, undisturbed, server, durations, counts, random.Random(1), tally)
    assert problems == []
    assert tally.total >= 6 and victim.starts >= 2
