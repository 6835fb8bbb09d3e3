"""Runs: only what is missing is computed, damage is repaired, infrastructure errors are retried, bad input is not."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from latent_core.config.runtime import RuntimeConfig
from latent_core.errors import BudgetReached, InfrastructureError, InputError, StageFailed
from latent_core.store import Artifact, ArtifactRef, ArtifactStore
from tasks.run.execution import Execution, open_run
from tasks.run.history import RunState, past_runs
from tasks.run.plan import open_plan
from tasks.run.prefect_tasks import StageTasks
from tasks.run.protocol import Run
from tasks.workers.budget import Budget
from tasks.workers.processes import WorkerPool
from tests.support.toy_stages import CopyInputs, Numbers, SumInputs, ToyConfig, ToyInputs, add_up, copy, count_up, draw

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def config(tmp_path: Path) -> ToyConfig:
    runtime = RuntimeConfig(work_dir=str(tmp_path / "work"), retries=1, retry_seconds=0)
    return ToyConfig(store=str(tmp_path / "store"), runtime=runtime)


def _compose(run: Run, log: Path, trouble: str = "", last: int = 4, budget: Budget | None = None) -> ArtifactRef:
    if budget is not None:
        run.limit(count_up, budget)
    shards = tuple(
        run.stage(count_up, Numbers(count=count, log=str(log), trouble=trouble if index else ""), ToyInputs())
        for index, count in enumerate((2, 3, last))
    )
    return run.stage(add_up, Numbers(count=0, log=str(log)), SumInputs(shards))


def _execute(config: ToyConfig, log: Path, **options: Any) -> tuple[Artifact, list[str]]:
    """Run the toy flow; returns its result and the names of the states its tasks ended in."""
    from prefect import flow

    force = options.pop("force", ())
    states: list[str] = []

    @flow(name="toy")
    def toy() -> Any:
        with open_run("toy", config, force=force) as run:
            artifact = run.artifact(_compose(run, log, **options))
            states.extend(run.state_of(call.ref) or "not tried" for call in run._calls.values())
        return artifact.ref.fingerprint

    toy()
    planned = open_plan("toy", config)
    options.pop("trouble", None)
    options.pop("budget", None)
    ref = _compose(planned, log, **options)
    return planned.store.require(ref), states


def _words(log: Path) -> list[str]:
    return sorted(log.read_text().split())


def test_run_outside_a_prefect_flow_is_refused_before_anything_is_written(config: ToyConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^toy: is no Prefect flow run here"), open_run("toy", config):
        pass
    assert not list(tmp_path.iterdir())


def test_run_says_at_its_end_what_was_computed_and_what_was_cached(
    config: ToyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    logger = logging.Logger("told")  # Prefect, when a flow starts, takes the handlers of the others away
    logger.info = lambda form, *words, **_: said.append(form % words)
    monkeypatch.setattr("tasks.progress.run.logger", logger)
    monkeypatch.setattr("tasks.progress.terminal.logger", logger)
    _execute(config, tmp_path / "log")
    _execute(config, tmp_path / "log", last=5)
    ends = [line.partition(": ")[2] for line in said if line.startswith("4 stages in ")]
    assert ends == ["4 computed, 0 cached", "2 computed, 2 cached"]
    assert any(line.startswith("numbers: 3 of 3, 9 rows") for line in said)


def test_run_interrupted_while_it_waits_for_mlflow_is_cancelled_and_closes_its_workers(
    config: ToyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[WorkerPool] = []
    close = WorkerPool.close

    def noted(pool: WorkerPool) -> None:
        closed.append(pool)
        close(pool)

    def interrupted(run: Execution) -> None:
        sys.exit(130)  # as Ctrl-C ends the command while MLflow's database is locked

    monkeypatch.setattr(WorkerPool, "close", noted)
    monkeypatch.setattr(Execution, "tracking_url", interrupted)
    with pytest.raises(SystemExit):
        _execute(config, tmp_path / "log")
    (past,) = past_runs(ArtifactStore(config.store))
    assert (past.state, past.computed, len(closed)) == (RunState.CANCELLED, 4, 1)


def test_second_run_computes_nothing_and_its_tasks_are_cached(config: ToyConfig, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first, states = _execute(config, log)
    assert first.manifest.content.metrics == {"sum": 1 + 3 + 6}
    assert states == ["Completed"] * 4
    again, states = _execute(config, log)
    assert states == ["Cached"] * 4
    assert again.manifest == first.manifest
    assert _words(log) == ["numbers2", "numbers3", "numbers4", "sum"]


def test_changed_shard_recomputes_only_itself_and_what_follows(config: ToyConfig, tmp_path: Path) -> None:
    log = tmp_path / "log"
    _execute(config, log)
    _, states = _execute(config, log, last=5)
    assert states == ["Cached", "Cached", "Completed", "Completed"]


def test_lost_shard_is_recomputed_and_downstream_stays_a_hit(config: ToyConfig, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first, _ = _execute(config, log)
    parent = first.manifest.content.parents["shard_1"].fingerprint
    shard = first.store.get("numbers", parent)
    assert shard is not None
    path = first.store.local_path(shard.key("numbers.parquet"))
    assert path is not None
    path.unlink()
    _, states = _execute(config, log)
    assert states == ["Cached", "Completed", "Cached", "Cached"]
    assert first.store.get("numbers", parent) is not None


def test_flipped_bit_in_an_input_that_is_needed_is_noticed_said_and_healed(
    config: ToyConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "log"
    first, _ = _execute(config, log)
    shard = first.store.get("numbers", first.manifest.content.parents["shard_1"].fingerprint)
    assert shard is not None
    path = first.store.local_path(shard.key("numbers.parquet"))
    assert path is not None
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3] ^= 4
    path.write_bytes(bytes(raw))
    first.store.set_aside(first.ref)
    again, states = _execute(config, log)
    assert states == ["Cached"] * 3 + ["Completed"]
    assert again.manifest.content == first.manifest.content and again.store.verify(shard.ref).ok
    assert _words(log).count("numbers3") == 2 and _words(log).count("numbers2") == 1
    assert "is damaged and is computed again" in caplog.text


@pytest.mark.parametrize("order", [("drawn", "copied"), ("copied", "drawn")])
def test_input_that_was_damaged_and_came_out_different_is_not_joined_with_what_was_made_of_the_earlier_one(
    config: ToyConfig, tmp_path: Path, order: tuple[str, str]
) -> None:
    """As completions that are sampled anew, and a compression of the earlier ones that is in the store."""
    from prefect import flow

    log = str(tmp_path / "log")

    @flow(name="toy")
    def toy(last: int) -> Any:
        with open_run("toy", config) as run:
            drawn = run.stage(draw, Numbers(count=0, log=log), ToyInputs())
            first = run.stage(copy, Numbers(count=1, log=log), CopyInputs(drawn))
            copied = run.stage(copy, Numbers(count=2, log=log), CopyInputs(first))
            inputs = {"drawn": drawn, "copied": copied}
            result = run.stage(add_up, Numbers(count=last, log=log), SumInputs(tuple(inputs[name] for name in order)))
            return run.artifact(result).manifest.content.metrics["sum"], run.artifact(drawn)

    total, drawn = toy(1)
    assert total == 2000
    path = drawn.store.local_path(drawn.key("numbers.parquet"))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3] ^= 4
    path.write_bytes(bytes(raw))
    total, _ = toy(2)
    assert total == 2 * 2000
    total, _ = toy(3)
    assert total == 2 * 2000
    assert _words(Path(log)) == ["copy1"] * 2 + ["copy2"] * 2 + ["draw"] * 2 + ["sum"] * 3


def test_killed_worker_is_replaced_and_its_call_retried(config: ToyConfig, tmp_path: Path) -> None:
    artifact, _ = _execute(config, tmp_path / "log", trouble="killed_once")
    assert artifact.manifest.content.metrics == {"sum": 10}
    assert _words(tmp_path / "log").count("numbers3") == 2


def test_killed_worker_without_retries_is_reported_as_such(config: ToyConfig, tmp_path: Path) -> None:
    once = config.model_copy(update={"runtime": config.runtime.model_copy(update={"retries": 0})})
    with pytest.raises(InfrastructureError, match="worker process was killed by SIGKILL"):
        _execute(once, tmp_path / "log", trouble="killed_once")


def test_infrastructure_error_is_retried(config: ToyConfig, tmp_path: Path) -> None:
    artifact, _ = _execute(config, tmp_path / "log", trouble="flaky")
    assert artifact.manifest.content.metrics == {"sum": 10}


def test_bad_input_is_not_retried_and_finished_shards_stay(config: ToyConfig, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(InputError, match="not to my liking"):
        _execute(config, log, trouble="bad_input")
    assert _words(log).count("numbers3") == 1
    _, states = _execute(config, log)
    assert states[0] == "Cached"


def test_forced_stage_is_computed_again(config: ToyConfig, tmp_path: Path) -> None:
    log = tmp_path / "log"
    _execute(config, log)
    _, states = _execute(config, log, force=["sum"])
    assert states == ["Cached", "Cached", "Cached", "Completed"]


def test_forced_stage_that_the_flow_does_not_have_is_refused(config: ToyConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^force: 'nubmers' names a stage that .*; choose among numbers, sum$"):
        _execute(config, tmp_path / "log", force=["nubmers"])


def test_plan_shows_hits_and_writes_nothing(config: ToyConfig, tmp_path: Path) -> None:
    run = open_plan("toy", config)
    _compose(run, tmp_path / "log")
    assert [line.hit for line in run.lines] == [False] * 4
    assert not (tmp_path / "store").exists() and not (tmp_path / "work").exists()


def test_token_budget_stops_between_shards_and_the_run_goes_on_with_a_higher_one(
    config: ToyConfig, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with pytest.raises(BudgetReached, match=r"numbers: not started, \d tokens reached toy.max_tokens_total 5"):
        _execute(config, log, budget=Budget("toy", max_tokens=5))
    assert len(_words(log)) == 2  # any two of 2, 3 and 4 tokens reach 5, one alone never does
    artifact, states = _execute(config, log, budget=Budget("toy", max_tokens=9))
    assert artifact.manifest.content.metrics == {"sum": 10}
    assert states.count("Cached") == 2


def test_time_budget_starts_nothing_more(config: ToyConfig, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(BudgetReached, match=r"toy\.max_seconds"):
        _execute(config, log, budget=Budget("toy", max_seconds=1e-9))
    assert not log.exists()


def test_stage_has_one_progress_artifact_over_its_calls_in_the_flow_run(config: ToyConfig, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["progress-numbers"]))
        before = {artifact.id for artifact in client.read_artifacts(artifact_filter=wanted)}
        _execute(config, tmp_path / "log")
        (shown,) = [item for item in client.read_artifacts(artifact_filter=wanted) if item.id not in before]
    assert shown.data == 100.0 and shown.flow_run_id is not None
    assert "numbers: 3 of 3 done, 9 rows" in str(shown.description)


def test_forced_results_that_an_early_end_did_not_reach_are_kept(
    config: ToyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    _execute(config, log)

    def end_early(*_: object) -> None:
        raise StageFailed("the machine went down")

    with monkeypatch.context() as patched, pytest.raises(StageFailed, match="went down"):
        patched.setattr(StageTasks, "run", end_early)
        _execute(config, log, force=["numbers"])
    _, states = _execute(config, log)
    assert states == ["Cached"] * 4
