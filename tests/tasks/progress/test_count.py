"""The line over a run's bars: counts, and a time left that follows earlier results and what this run measures."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tasks.progress.count import RunCount
from tasks.progress.durations import duration, estimated
from tasks.progress.left import Cost, Costs, Spans
from tasks.stage import StageCall
from tasks.workers.pool import Progress
from tests.support.toy_stages import Numbers, SumInputs, ToyInputs, add_up, count_up


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def _counted(numbers: int, workers: int = 1) -> tuple[RunCount, Clock, list[StageCall]]:
    """A run of so many calls of `numbers` and one of `sum`."""
    clock = Clock()
    count = RunCount(workers, clock)
    calls = [count_up.call(Numbers(count=number, log=""), ToyInputs()) for number in range(numbers)]
    calls.append(add_up.call(Numbers(count=0, log=""), SumInputs(tuple(call.ref for call in calls))))
    for call in calls:
        count.expect(call)
    count.start()
    return count, clock, calls


def _costs(**seconds: float) -> Costs:
    return lambda stage, rows: Cost(seconds[stage], 1.0) if stage in seconds else None


def _computed(count: RunCount, clock: Clock, call: StageCall, seconds: float) -> None:
    clock.now += seconds
    count.end(call, 10, (clock.now - seconds, seconds))


def test_line_adds_up_what_earlier_results_took() -> None:
    count, _, calls = _counted(4)
    assert count.line() == "0 of 5 stages"  # nobody has looked yet
    count.end(calls[0], 10, None)
    count.learn(_costs(numbers=60.0, sum=180.0))
    assert count.line() == "1 of 5 stages, about 6 min left"


def test_line_is_corrected_by_the_pace_of_this_run_in_other_stages_too() -> None:
    count, clock, calls = _counted(4)
    count.learn(_costs(numbers=60.0, sum=180.0))
    _computed(count, clock, calls[0], 120.0)  # twice as long as before
    assert count.line() == "1 of 5 stages, about 12 min left"  # 3 x 120 s and 2 x 180 s


def test_line_counts_workers_and_calls_that_are_computed_together() -> None:
    count, _, _ = _counted(8, workers=4)
    count.learn(_costs(numbers=60.0, sum=60.0))
    assert count.line() == "0 of 9 stages, about 3 min left"  # 480 s on four workers, 60 s on one
    joined, _, _ = _counted(8)
    joined.learn(lambda stage, rows: Cost(60.0, 8.0 if stage == "numbers" else 1.0))
    assert joined.line() == "0 of 9 stages, about 2 min left"


def test_line_of_a_call_under_way_counts_what_is_done_of_it() -> None:
    count, clock, calls = _counted(1)
    count.learn(_costs(numbers=1000.0, sum=60.0))
    word = calls[0].title, calls[0].ref.fingerprint
    count.word(Progress(*word, 0, 100, 0))
    clock.now += 60
    count.word(Progress(*word, 25, 100, 0))
    assert count.line() == "0 of 2 stages, about 4 min left"  # 180 s at its own speed, and 60 s


def test_line_counts_down_in_silence_and_does_not_promise_what_is_overdue() -> None:
    count, clock, _ = _counted(1)
    count.learn(_costs(numbers=300.0, sum=60.0))
    clock.now += 120
    assert count.line() == "0 of 2 stages, about 4 min left"
    clock.now += 300
    assert count.line() == "0 of 2 stages, longer than earlier results took"


def test_line_says_which_stages_have_nothing_to_go_by() -> None:
    count, clock, calls = _counted(2)
    count.learn(_costs())
    assert count.line() == "0 of 3 stages, time left unknown (no earlier numbers, sum to go by)"
    _computed(count, clock, calls[0], 120.0)
    assert count.line() == "1 of 3 stages, at least 2 min left (no earlier sum to go by)"


def test_summary_names_computed_cached_and_missing_and_counts_overlapping_time_once() -> None:
    count, clock, calls = _counted(3)
    count.end(calls[0], 10, None)
    count.end(calls[1], 10, (clock.now, 60.0))
    count.end(calls[2], 10, (clock.now + 30, 60.0))
    clock.now += 125
    assert count.summary().splitlines() == [
        "4 stages in 2 min 5 s: 2 computed, 1 cached, 1 not there",
        "time by stage: numbers 1 min 30 s",
    ]
    count.end(calls[3], 0, (clock.now, 30.0))
    assert count.summary().splitlines()[1] == "time by stage: numbers 1 min 30 s, sum 30 s"
    assert count.line() == "4 of 4 stages"


def test_call_that_is_told_of_twice_is_counted_once() -> None:
    count, _, calls = _counted(2)
    count.end(calls[0], 10, None)
    count.end(calls[0], 10, (0.0, 5.0))
    assert (count.done, count.cached) == (1, 1)


def test_spans_cover_what_intervals_cover_together() -> None:
    spans = Spans()
    for start, end in ((0.0, 10.0), (20.0, 30.0), (5.0, 35.0), (40.0, 41.0)):
        spans.add(start, end)
    assert spans.seconds == 36.0


@pytest.mark.parametrize(
    ("seconds", "words", "estimate"),
    [
        (0.2, "under 1 s", "under 1 s"),
        (42.4, "42 s", "42 s"),
        (359.0, "5 min 59 s", "6 min"),
        (599.8, "10 min", "10 min"),
        (5200.0, "87 min", "87 min"),
        (7200.0, "2 h", "2 h"),
        (7800.0, "2 h 10 min", "2 h 10 min"),
    ],
)
def test_duration_is_no_finer_than_is_known(seconds: float, words: str, estimate: str) -> None:
    assert (duration(seconds), estimated(seconds)) == (words, estimate)
