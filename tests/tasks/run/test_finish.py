"""What an execution hands out when it goes on after a failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from bench.here import WorkerHere
from latent_core.config.runtime import RuntimeConfig, TrackingConfig
from latent_core.errors import StageFailed
from latent_core.store import ArtifactRef, ArtifactStore
from tasks.progress.run import open_progress
from tasks.run.execution import Execution
from tasks.run.prefect_tasks import Ended
from tasks.run.schedule import Schedule
from tasks.stage import StageCall
from tasks.tracking.tracker import Tracker
from tests.support.toy_stages import Numbers, SumInputs, ToyInputs, add_up, count_up


class FailingTasks:
    """Computes nothing: what is called `trouble` fails, the rest completes; lists what it was given."""

    def __init__(self) -> None:
        self.handed_out: list[list[str]] = []

    def run(
        self, calls: Sequence[StageCall], done: Mapping[ArtifactRef, StageCall], ended: dict[ArtifactRef, Ended]
    ) -> None:
        self.handed_out.append([call.label for call in calls])
        schedule = Schedule(calls, done)
        while (call := schedule.take()) is not None:
            if call.label == "trouble":
                ended[call.ref] = Ended("Failed", uuid4(), "did not work")
                schedule.fail(call.ref)
            else:
                ended[call.ref] = Ended("Completed", uuid4())
                schedule.succeed(call.ref)


def test_finish_after_a_failure_leaves_out_what_needs_the_failed_stage(tmp_path: Path) -> None:
    store, tracking = ArtifactStore(tmp_path), TrackingConfig(enabled=False)
    tasks = FailingTasks()
    run = Execution(
        "toy",
        store,
        RuntimeConfig(),
        WorkerHere(store, str(tmp_path)),
        Tracker(tracking, "toy", tracking, store),
        open_progress(1, None),
        lambda attempt: tasks,
    )

    def numbers(count: int, label: str) -> ArtifactRef:
        return run.stage(count_up, Numbers(count=count, log=""), ToyInputs(), label=label)

    def total(count: int, label: str, *shards: ArtifactRef) -> ArtifactRef:
        return run.stage(add_up, Numbers(count=count, log=""), SumInputs(shards), label=label)

    failing = numbers(1, "trouble")
    of_failing = total(1, "of trouble", failing)
    with pytest.raises(StageFailed, match="numbers trouble: did not work"):
        run.finish()
    total(2, "of what failed later", of_failing)
    total(3, "of other numbers", numbers(2, "others"))
    with pytest.raises(StageFailed, match="numbers trouble: did not work"):
        run.finish()
    assert tasks.handed_out == [["trouble", "of trouble"], ["others", "of other numbers"]]
