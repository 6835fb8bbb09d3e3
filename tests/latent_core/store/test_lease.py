"""Leases between real processes: one holds, others wait; who dies or falls silent is replaced, and learns of it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from latent_core.errors import InfrastructureError, StageFailed
from latent_core.store import ArtifactRef, ArtifactStore, collect_garbage, find_garbage
from latent_core.store.lease import HeldError, LeaseTerms, LostLeaseError, held, wait_for_lease
from tests.support.s3_faults import make_bucket

REF = ArtifactRef("words", "a" * 64)
LONG = 600.0  # seconds that no test waits for
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(params=["local", "moto", "seaweed"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "local":
        return str(tmp_path / "store")
    for name, value in request.getfixturevalue(request.param).environment(timeout="30").items():
        monkeypatch.setenv(name, value)
    make_bucket("bucket")
    return f"s3://bucket/{tmp_path.name}"


def _hold(root: str, expired: int, inbox: Any, outbox: Any) -> None:
    """A process that takes the lease, says so, and keeps it until it is told to go."""
    try:
        with held(ArtifactStore(root), REF, LeaseTerms(LONG, expired), os._exit):  # type: ignore[arg-type]
            outbox.put("held")
            inbox.get()
        outbox.put("released")
    except HeldError:
        outbox.put("refused")


@contextmanager
def _holder(root: str, expired: int = 0) -> Iterator[tuple[BaseProcess, Any, Any]]:
    inbox, outbox = SPAWN.Queue(), SPAWN.Queue()
    process = SPAWN.Process(target=_hold, args=(root, expired, inbox, outbox))
    process.start()
    try:
        yield process, inbox, outbox
    finally:
        process.kill()
        process.join()


def _take(root: str, expired: int = 0, seconds: float = LONG) -> None:
    with held(ArtifactStore(root), REF, LeaseTerms(seconds, expired), pytest.fail):
        pass


def _rewrite(root: str, **changes: object) -> None:
    """Change what the first lease file says, as its holder would."""
    store, key = ArtifactStore(root), f"{REF.key}/lease-1.json"
    store.replace(key, json.dumps(json.loads(store.read(key)) | changes).encode())


def _lease_elsewhere(root: str) -> None:
    """A lease that a process of another machine took."""
    _take(root)
    _rewrite(root, place="elsewhere/x/y", released=False)


def test_one_process_holds_and_another_is_refused_until_it_lets_go(root: str) -> None:
    with _holder(root) as (_, inbox, outbox):
        assert outbox.get(timeout=60) == "held"
        with pytest.raises(HeldError, match=r"process \d+ on .* is computing it"):
            _take(root)
        inbox.put("go")
        assert outbox.get(timeout=60) == "released"
        _take(root)


def test_killed_holder_of_this_machine_is_replaced_at_once(root: str) -> None:
    with _holder(root) as (process, _, outbox):
        assert outbox.get(timeout=60) == "held"
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        _take(root)


def test_of_two_that_take_over_together_one_holds(root: str) -> None:
    _lease_elsewhere(root)
    with ExitStack() as stack:
        holders = [stack.enter_context(_holder(root, expired=1)) for _ in range(2)]
        assert sorted(outbox.get(timeout=60) for _, _, outbox in holders) == ["held", "refused"]


def _wait(root: str, pause: Any, seconds: float = LONG, arrived: Any = lambda: False) -> int | None:
    with pytest.raises(HeldError) as refused:
        _take(root)
    return wait_for_lease(ArtifactStore(root), refused.value, seconds, arrived, pause)


def test_silent_holder_elsewhere_is_replaced_when_its_lease_ran_out(root: str) -> None:
    _lease_elsewhere(root)
    assert _wait(root, threading.Event().wait, seconds=0.2) == 1
    _take(root, expired=1)


def test_holder_elsewhere_that_gives_signs_of_life_is_waited_for(root: str) -> None:
    _lease_elsewhere(root)
    beats = iter(range(1, 8))

    def pause(seconds: float) -> bool:
        beat = next(beats)
        _rewrite(root, beat=beat, released=beat == 7)
        return False

    assert _wait(root, pause, seconds=LONG) == 1
    assert next(beats, None) is None


def test_waiting_ends_with_the_result_or_with_the_run(root: str) -> None:
    _lease_elsewhere(root)
    assert _wait(root, pytest.fail, arrived=lambda: True) is None
    with pytest.raises(StageFailed, match="the run ended while it waited"):
        _wait(root, lambda seconds: True)


def test_holder_that_was_replaced_is_told_and_cannot_confirm(root: str) -> None:
    told = threading.Event()
    store = ArtifactStore(root)
    with held(store, REF, LeaseTerms(0.2), lambda reason: told.set()) as confirm:
        confirm()
        with held(store, REF, LeaseTerms(LONG, expired=1), pytest.fail):
            assert told.wait(60)
            with pytest.raises(LostLeaseError, match="taken over by process"):
                confirm()


def test_holder_that_cannot_renew_for_as_long_as_its_lease_lasts_has_lost_it(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()
    store = ArtifactStore(root)
    with held(store, REF, LeaseTerms(0.2), lambda reason: told.set()) as confirm:

        def unreachable(key: str, content: bytes) -> None:
            raise InfrastructureError("store: cannot be reached")

        monkeypatch.setattr(store, "replace", unreachable)
        assert told.wait(60)
        with pytest.raises(LostLeaseError, match="could not be renewed"):
            confirm()


def test_leases_are_no_artifacts_and_gc_removes_old_ones(root: str) -> None:
    store = ArtifactStore(root)
    _take(root)
    assert list(store.list()) == []
    garbage = find_garbage(store, grace=0)
    assert [item.folder for item in garbage.leftovers] == [f"{REF.key}/lease-1.json"]
    assert find_garbage(store, grace=3600).leftovers == []
    collect_garbage(store, garbage)
    assert list(store.files()) == []
