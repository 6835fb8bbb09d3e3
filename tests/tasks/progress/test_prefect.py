"""A stage's progress is one entry over all its shards, says how fast and how long, and never stops the work."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tasks.progress.prefect import StageProgress
from tasks.stage import StageCall
from tasks.workers.pool import Progress
from tests.support.toy_stages import Numbers, ToyInputs, count_up


@dataclass
class FakeBoard:
    """Keeps what is shown."""

    shown: list[tuple[Any, float, str]] = field(default_factory=list)
    broken: bool = False

    def create(self, key: str, percent: float, description: str) -> Any:
        self.update(key, percent, description)
        return key

    def update(self, entry: Any, percent: float, description: str) -> None:
        if self.broken:
            raise httpx.ConnectError("server gone")
        self.shown.append((entry, round(percent, 1), description))


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def _calls(progress: StageProgress, count: int) -> list[StageCall]:
    calls = [count_up.call(Numbers(count=number, log=""), ToyInputs()) for number in range(count)]
    for call in calls:
        progress.expect(call)
    return calls


def _word(call: StageCall, done: int, total: int = 100) -> Progress:
    return Progress(call.title, call.ref.fingerprint, done, total, tokens=done * 50)


def test_shards_are_added_up_into_one_entry_with_rate_and_time_left() -> None:
    board, clock = FakeBoard(), Clock()
    progress = StageProgress(board, clock)
    hit, first, second, _ = _calls(progress, 4)
    progress.finish(hit)
    progress(_word(first, 0))
    clock.now += 10
    progress(_word(second, 40))
    progress(_word(first, 60))  # too soon for another update
    progress(_word(first, 100))
    clock.now += 10
    progress.finish(first)
    assert [entry for entry, _, _ in board.shown] == ["progress-numbers"] * 3
    assert board.shown[1][1:] == (35.0, "numbers: 1 of 4 done, 40 rows, 4.0/s, 200 tokens/s, 65 s left")
    assert board.shown[2][1:] == (60.0, "numbers: 2 of 4 done, 140 rows, 7.0/s, 350 tokens/s, 23 s left")


def test_last_shard_is_shown_at_once_and_silent_stages_are_not() -> None:
    board, clock = FakeBoard(), Clock()
    progress = StageProgress(board, clock)
    one, other = _calls(progress, 2)
    progress.finish(other)
    assert board.shown == []
    progress(_word(one, 100))
    progress.finish(one)
    assert board.shown[-1] == ("progress-numbers", 100.0, "numbers: 2 of 2 done, 100 rows")


def test_board_that_fails_is_given_up_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    progress = StageProgress(FakeBoard(broken=True), clock)
    (call,) = _calls(progress, 1)
    for done in (10, 20, 100):
        clock.now += 20
        progress(_word(call, done))
    progress.finish(call)
    assert caplog.text.count("progress is no longer shown") == 1
