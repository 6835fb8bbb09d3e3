"""Stage calls as task runs in Prefect's pages.

A task run costs its server a handful of messages, so they are made for what is computed, one each, and for what is in
the store already, one a stage. At most a window of them is under way at a time, which keeps memory flat: what is done
is remembered by the id of its task run alone, enough for the arrows between the page's boxes.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from latent_core.config.runtime import RuntimeConfig
from latent_core.errors import InfrastructureError, InputError
from latent_core.store import ArtifactRef, ArtifactStore
from tasks.run.schedule import Schedule, stored_parents
from tasks.stage import StageCall

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

logger = logging.getLogger("latent")
LEAST_WINDOW = 16  # task runs under way at a time; they also wait for workers, leases and companions
_MOST_ARROWS = 200  # into one box of Prefect's page; a merge of thousands of shards shows its first ones


@dataclass(frozen=True)
class Ended:
    """How a call's task run ended: its state's name and, where it failed, why and what was raised."""

    state: str
    task_run_id: UUID
    failure: str = ""
    error: BaseException | None = None


Attempt = Callable[[StageCall], str]
"""Computes a call; returns why nothing was computed, empty when it was, and raises what went wrong."""


class StageTasks:
    """Runs calls as task runs of the flow run that it is made in."""

    def __init__(self, runtime: RuntimeConfig, store: ArtifactStore, results: Any, attempt: Attempt) -> None:
        self._runtime = runtime
        self._store = store
        self._results = results
        self._attempt = attempt
        self._window = max(LEAST_WINDOW, 2 * runtime.workers)
        self._tasks: dict[str, Any] = {}
        self._under_way: dict[str, StageCall] = {}  # by fingerprint

    def run(
        self, calls: Sequence[StageCall], done: Mapping[ArtifactRef, StageCall], ended: dict[ArtifactRef, Ended]
    ) -> None:
        """Run `calls`, those of `done` as found in the store; what becomes of each is written to `ended`.

        A call whose input failed is left out. Returns when nothing is under way any more.
        """
        self._show_found(done.values(), ended)
        schedule = Schedule(calls, done)
        arrived: queue.SimpleQueue[tuple[StageCall, Any]] = queue.SimpleQueue()
        while True:
            while len(self._under_way) < self._window and (call := schedule.take()) is not None:
                self._start(call, ended, arrived)
            if not self._under_way:
                return
            call, future = arrived.get()
            del self._under_way[call.ref.fingerprint]
            ended[call.ref] = end = _end_of(future)
            if end.failure:
                schedule.fail(call.ref)
            else:
                schedule.succeed(call.ref)

    def _start(
        self, call: StageCall, ended: Mapping[ArtifactRef, Ended], arrived: queue.SimpleQueue[tuple[StageCall, Any]]
    ) -> None:
        self._under_way[call.ref.fingerprint] = call
        before = [ended[ref].task_run_id for ref in stored_parents(call) if ref in ended]
        waits = [_completed(run_id) for run_id in dict.fromkeys(before[:_MOST_ARROWS])]
        future = self._task(call.stage.name).submit(call.title, call.ref.fingerprint, wait_for=waits)
        future.add_done_callback(lambda finished: arrived.put((call, finished)))

    def _show_found(self, calls: Iterable[StageCall], ended: dict[ArtifactRef, Ended]) -> None:
        by_stage: dict[str, list[StageCall]] = {}
        for call in calls:
            by_stage.setdefault(call.stage.name, []).append(call)
        for name, found in by_stage.items():
            state = self._found_task(name, found)(return_state=True)
            ended.update((call.ref, Ended(state.name, state.state_details.task_run_id)) for call in found)

    def _task(self, name: str) -> Any:
        """The stage's Prefect task, whose arguments are a call's title and fingerprint."""
        if name not in self._tasks:
            from prefect.states import Completed
            from prefect.tasks import exponential_backoff

            def compute(title: str, fingerprint: str) -> Any:
                call = self._under_way[fingerprint]
                why_not = self._attempt(call)
                reference = reference_to(call, self._store)
                if not why_not:
                    return reference
                return Completed(name="Cached", message=f"{call.ref} {why_not}", data=reference)

            self._tasks[name] = self._as_task(
                compute,
                name,
                "{title}",
                retries=self._runtime.retries,
                retry_delay_seconds=exponential_backoff(backoff_factor=self._runtime.retry_seconds),
                retry_jitter_factor=0.5,
                retry_condition_fn=_is_worth_a_retry,
            )
        return self._tasks[name]

    def _found_task(self, name: str, found: Sequence[StageCall]) -> Any:
        """A task that ends as `Cached`, for all that is in the store of one stage."""
        from prefect.states import Completed

        (title, what) = (found[0].title, f"{found[0].ref} is")
        if len(found) > 1:
            title, what = f"{name}: {len(found):,} in the store", f"{len(found):,} artifacts of {name} are"
        reference = {"stage": name, "artifacts": len(found)} if len(found) > 1 else reference_to(found[0], self._store)

        def cached() -> State[Any]:
            return Completed(name="Cached", message=f"{what} in the store", data=reference)

        return self._as_task(cached, name, title)

    def _as_task(self, body: Callable[..., Any], name: str, title: str, **options: Any) -> Any:
        from prefect import task

        from tasks.run.prefect_results import OneFilePerTaskRun

        return task(
            name=name,
            task_run_name=title,
            cache_policy=OneFilePerTaskRun(),
            refresh_cache=True,
            persist_result=True,
            result_storage=self._results,
            result_serializer="json",
            **options,
        )(body)


def reference_to(call: StageCall, store: ArtifactStore) -> dict[str, str]:
    """What a task returns: where its artifact lies, never the artifact."""
    return {"stage": call.ref.stage, "fingerprint": call.ref.fingerprint, "uri": store.uri(call.ref)}


def _end_of(future: Any) -> Ended:
    future.wait()  # it is done; this fetches its state
    state = future.state
    if state.is_completed():
        return Ended(state.name, future.task_run_id)
    error = state.result(raise_on_failure=False) if state.is_failed() or state.is_crashed() else None
    known = error if isinstance(error, BaseException) else None
    return Ended(state.name, future.task_run_id, state.message or "did not complete", known)


def _completed(task_run_id: UUID) -> State[Any]:
    """All that Prefect needs of a finished task run to draw an arrow from it."""
    from prefect.client.schemas.objects import StateDetails
    from prefect.states import Completed

    return Completed(data=True, state_details=StateDetails(task_run_id=task_run_id))


def _is_worth_a_retry(task: Any, task_run: Any, state: Any) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, InfrastructureError | OSError) and not isinstance(error, InputError | PermissionError)
