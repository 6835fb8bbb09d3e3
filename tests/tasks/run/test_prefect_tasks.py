"""Stage calls as Prefect's task runs: few at a time, and one for all that a stage has in the store."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from latent_core.config.runtime import RuntimeConfig
from latent_core.errors import InfrastructureError, InputError
from latent_core.store import ArtifactRef, ArtifactStore
from tasks.run.prefect_results import results_in
from tasks.run.prefect_tasks import LEAST_WINDOW, Ended, StageTasks, _is_worth_a_retry
from tasks.stage import StageCall
from tests.support.task_runs import recorded_task_runs
from tests.support.toy_stages import Numbers, SumInputs, ToyInputs, add_up, count_up

pytestmark = pytest.mark.usefixtures("prefect_server")

MANY = 3 * LEAST_WINDOW


class Work:
    """Stands for computing: counts how many calls are computed at once, and refuses those of `refused`."""

    def __init__(self, store: ArtifactStore, refused: set[ArtifactRef]) -> None:
        self.store = store
        self.refused = refused
        self.computed: list[StageCall] = []
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def __call__(self, call: StageCall) -> str:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.computed.append(call)
        try:
            if call.ref in self.refused:
                raise InputError("count: is not to my liking; choose another")
            return ""
        finally:
            with self._lock:
                self.at_once -= 1


def _numbers(count: int) -> StageCall:
    return count_up.call(Numbers(count=count, log=""), ToyInputs(), label=str(count))


def _sum(*parents: StageCall) -> StageCall:
    return add_up.call(Numbers(count=0, log=""), SumInputs(tuple(call.ref for call in parents)))


def _run(
    folder: Path, calls: list[StageCall], found: tuple[StageCall, ...] = (), refused: set[ArtifactRef] | None = None
) -> tuple[Work, dict[ArtifactRef, Ended], list[Any]]:
    """Run calls as a flow; returns the work done, how calls ended, and the task runs that the server knows."""
    from prefect import flow
    from prefect.context import FlowRunContext

    store = ArtifactStore(str(folder / "store"))
    work, ended = Work(store, refused or set()), dict[ArtifactRef, Ended]()

    @flow(name="toy")
    def toy() -> Any:
        tasks = StageTasks(RuntimeConfig(workers=1, retries=0), store, results_in(store), work)
        tasks.run(calls, {call.ref: call for call in found}, ended)
        context = FlowRunContext.get()
        assert context is not None and context.flow_run is not None
        return context.flow_run.id

    flow_run = toy()
    return work, ended, recorded_task_runs(flow_run, {end.task_run_id for end in ended.values()})


def test_no_more_task_runs_than_the_window_are_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0
    lock = threading.Lock()
    before = StageTasks._start

    def start(self: StageTasks, *given: Any) -> None:
        nonlocal most
        before(self, *given)
        with lock:
            most = max(most, len(self._under_way))

    monkeypatch.setattr(StageTasks, "_start", start)
    work, ended, runs = _run(tmp_path, [_numbers(count) for count in range(MANY)])
    assert most == LEAST_WINDOW and work.most_at_once <= LEAST_WINDOW
    assert len(work.computed) == len(ended) == len(runs) == MANY


def test_task_runs_have_no_tags_for_whose_slots_prefect_would_ask_its_server(tmp_path: Path) -> None:
    _, _, runs = _run(tmp_path, [_numbers(1), _numbers(2)])
    assert sorted(run.name for run in runs) == ["numbers 1", "numbers 2"]
    assert [list(run.tags) for run in runs] == [[], []]


def test_what_is_in_the_store_is_one_cached_task_run_a_stage(tmp_path: Path) -> None:
    there = tuple(_numbers(count) for count in range(MANY))
    total = _sum(*there)
    work, ended, runs = _run(tmp_path, [*there, total], found=(*there, total))
    assert work.computed == [] and {end.state for end in ended.values()} == {"Cached"}
    assert sorted(run.name for run in runs) == [f"numbers: {MANY} in the store", "sum"]
    assert {run.state_name for run in runs} == {"Cached"}


def test_all_but_what_needs_a_failed_stage_is_computed(tmp_path: Path) -> None:
    one, two, three = _numbers(1), _numbers(2), _numbers(3)
    spared, cut_off = _sum(two, three), _sum(one, two)
    work, ended, runs = _run(tmp_path, [one, two, three, spared, cut_off], refused={one.ref})
    assert [call.ref for call in work.computed if call.stage is add_up] == [spared.ref]
    assert isinstance(ended[one.ref].error, InputError) and cut_off.ref not in ended
    assert sorted(run.state_name for run in runs) == ["Completed"] * 3 + ["Failed"]


def test_what_the_same_call_will_meet_again_is_not_retried() -> None:
    from prefect.states import exception_to_failed_state
    from prefect.utilities.asyncutils import run_coro_as_sync

    def is_retried(error: Exception) -> bool:
        return _is_worth_a_retry(None, None, run_coro_as_sync(exception_to_failed_state(error)))

    assert is_retried(InfrastructureError("the network blinked")) and is_retried(ConnectionResetError())
    assert not any(map(is_retried, (InputError("count: is wrong"), PermissionError(), ZeroDivisionError())))


def test_arrows_lead_from_inputs_to_what_is_made_of_them(tmp_path: Path) -> None:
    one, two = _numbers(1), _numbers(2)
    _, ended, runs = _run(tmp_path, [one, two, _sum(one, two)], found=(one,))
    (total,) = [run for run in runs if run.name == "sum"]
    assert {item.id for item in total.task_inputs["wait_for"]} == {
        ended[one.ref].task_run_id,
        ended[two.ref].task_run_id,
    }
