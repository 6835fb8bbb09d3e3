"""The order in which a run tries its stages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.run.schedule import Schedule
from tasks.stage import StageCall
from tests.support.toy_stages import Numbers, SumInputs, ToyInputs, add_up, count_up


def _numbers(count: int) -> StageCall:
    return count_up.call(Numbers(count=count, log=""), ToyInputs())


def _sum(*parents: StageCall, count: int = 0) -> StageCall:
    inputs = SumInputs(tuple(parent.ref for parent in parents))
    return add_up.call(Numbers(count=count, log=""), inputs)


def _taken(schedule: Schedule) -> list[StageCall]:
    return list(iter(schedule.take, None))


def test_schedule_hands_out_a_call_once_all_its_inputs_are_there() -> None:
    one, two = _numbers(1), _numbers(2)
    total = _sum(one, two)
    schedule = Schedule([total, one, two])
    assert _taken(schedule) == [one, two]
    schedule.succeed(two.ref)
    assert schedule.take() is None
    schedule.succeed(one.ref)
    assert _taken(schedule) == [total]


def test_schedule_waits_neither_for_what_is_in_the_store_nor_for_what_nobody_asked_for() -> None:
    one, two, stranger = _numbers(1), _numbers(2), _numbers(3)
    total = _sum(one, two, stranger)
    schedule = Schedule([one, two, total], done=[one.ref])
    assert _taken(schedule) == [two]
    schedule.succeed(two.ref)
    assert _taken(schedule) == [total]


def test_schedule_never_hands_out_what_needs_a_failed_call_and_goes_on_with_the_rest() -> None:
    one, two, three = _numbers(1), _numbers(2), _numbers(3)
    first, second = _sum(one), _sum(two)
    last = _sum(first, second)
    schedule = Schedule([one, two, three, first, second, last])
    assert _taken(schedule) == [one, two, three]
    schedule.fail(one.ref)
    schedule.succeed(two.ref)
    assert _taken(schedule) == [second]
    schedule.succeed(second.ref)
    assert schedule.take() is None


def test_call_asked_for_twice_is_handed_out_once() -> None:
    one = _numbers(1)
    assert _taken(Schedule([one, one])) == [one]


@given(st.lists(st.lists(st.integers(0, 30), max_size=4), min_size=1, max_size=30), st.randoms())
def test_every_call_is_handed_out_once_and_after_its_inputs(parents: list[list[int]], random: object) -> None:
    calls: list[StageCall] = []
    for number, wanted in enumerate(parents):
        calls.append(_sum(*(calls[place] for place in wanted if place < number), count=number))
    asked = list(calls)
    random.shuffle(asked)  # type: ignore[attr-defined]
    schedule, there = Schedule(asked), set()
    while (call := schedule.take()) is not None:
        assert set(call.parents.values()) <= there and call.ref not in there
        there.add(call.ref)
        schedule.succeed(call.ref)
    assert there == {call.ref for call in calls}
