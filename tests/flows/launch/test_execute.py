"""Executing a flow from the command line: what its Prefect server does is told in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.launch import execute as execution
from flows.launch import server
from flows.launch.registry import FlowEntry, find_flow
from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InfrastructureError, InputError
from tasks.run.history import RunState, find_run
from tasks.run.plan import PlannedStage


def test_run_whose_prefect_server_is_gone_says_so_and_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    flow = find_flow("reevaluate")

    def lose_the_server(*words: Any) -> None:
        raise httpx.ConnectError("Connection refused")

    lost = FlowEntry(flow.name, flow.config, flow.compose, lose_the_server, flow.show)
    monkeypatch.setattr(execution, "_ENVIRONMENT", {})  # of this process, which goes on with other tests
    monkeypatch.setattr(execution, "find_flow", lambda name: lost)
    monkeypatch.setattr(FlowEntry, "flow", lambda entry: entry.execute)
    monkeypatch.setattr(server, "_check_configured", lambda: None)  # it went away later
    settings = [f"store={tmp_path}", "model=latent-mini"]
    lines = r"PREFECT_API_URL, http://127\.0\.0\.1:9/api, does not answer .*Connection refused.*repeat"
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(InfrastructureError, match=lines),
    ):
        execution.execute("reevaluate", None, settings, [])


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, "server --backend-store-uri sqlite:///.latent/mlflow.db"),
        ({"uri": "http://127.0.0.1:5000"}, "MLflow:  http://127.0.0.1:5000\n"),
        ({"enabled": False}, None),
    ],
)
def test_run_says_where_its_own_mlflow_runs_are(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    settings: dict[str, Any],
    line: str | None,
) -> None:
    from flows.parts.publish import show_where_to_look

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    show_where_to_look(TrackingConfig.model_validate(settings))
    printed = capsys.readouterr().out
    assert line in printed if line is not None else "MLflow" not in printed


def test_outage_of_tracking_is_the_last_thing_that_a_run_says_of_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from latent_core.config.reevaluate import ReevaluateConfig
    from latent_core.store import Artifact, ArtifactRef, ArtifactStore, begin
    from tasks.run.protocol import Run
    from tasks.stage import Outcome, Stage, StageCall
    from tasks.tracking.tracker import Tracker
    from tests.support.toy_stages import ToyInputs

    marker = Stage("marker", 1, lambda *words: Outcome(), ToyInputs)
    calls: list[StageCall] = []

    def compose(config: ReevaluateConfig, run: Run) -> ArtifactRef:
        calls.append(marker.call(TrackingConfig(), ToyInputs()))
        return run.stage(marker, TrackingConfig(), ToyInputs())

    def run_it(config: ReevaluateConfig, force: list[str]) -> None:
        store = ArtifactStore(config.store)
        tracker = Tracker(config.tracking, "reevaluate", config, store)
        with begin(store, calls[0].ref) as out:
            out.commit(config=TrackingConfig())
        tracker.finish(failed=False)
        tracker.tell_gap()

    def show(result: Artifact) -> None: ...

    flow = find_flow("reevaluate")
    entry = FlowEntry(flow.name, flow.config, compose, run_it, show)
    monkeypatch.setattr(execution, "_ENVIRONMENT", {})
    monkeypatch.setattr(execution, "find_flow", lambda name: entry)
    monkeypatch.setattr(execution, "execute_entry", lambda entry, config, force: entry.execute(config, force))
    settings = [f"store={tmp_path / 'store'}", "tracking.uri=http://127.0.0.1:9", f"runtime.work_dir={tmp_path}"]
    execution.execute("reevaluate", None, settings, [])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3] == "MLflow:  http://127.0.0.1:9" and lines[-1].startswith("Prefect: ")
    assert lines[-2].strip().startswith("tracking was off from ") and "latent track sync" in lines[-2]
    execution.execute("reevaluate", None, settings, [])  # nothing to compute, nothing to track
    assert "tracking was off" not in capsys.readouterr().out


def test_run_of_which_the_store_has_all_leaves_a_record_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows.cli.runs import list_runs
    from latent_core.errors import RegressionFound
    from tests.support.lab import two_runs

    lab = two_runs(tmp_path)
    report = lab.report(2e-3, 10)
    verdicts: list[RegressionFound] = []

    def compose(config: Any, run: Any) -> Any:
        run.lines.append(PlannedStage("report", report, hit=True, rows=None))
        return report

    def conclude(config: Any, run: Any, result: Any) -> None:
        if verdicts:
            raise verdicts[0]

    flow = find_flow("tokenskip-math")
    entry = FlowEntry(flow.name, flow.config, compose, flow.execute, lambda result: None, conclude)
    config = flow.config.model_validate({"store": lab.store.root, "train": {"learning_rate": 2e-3}})
    monkeypatch.setattr(execution, "execute_entry", lambda *words: pytest.fail("something was run"))
    execution.run_missing(entry, config, [])
    cached = find_run(lab.store, "last")
    assert (cached.state, cached.computed, cached.stages, cached.result) == (RunState.FINISHED, 0, 1, report)
    list_runs(lab.store, None, 1, False)
    assert "finished, all cached" in capsys.readouterr().out
    verdicts.append(RegressionFound("it got worse"))
    assert execution.run_missing(entry, config, []).verdict is verdicts[0]
    fallen = find_run(lab.store, "last")
    assert (fallen.state, fallen.failure, fallen.result) == (RunState.FAILED, "it got worse", report)


def test_flow_is_run_for_its_record_alone_unless_a_verdict_is_known_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from latent_core.errors import RegressionFound
    from tasks.run.history import past_runs
    from tests.support.lab import two_runs

    lab = two_runs(tmp_path)
    report = lab.report(2e-3, 10)
    found, computed = RegressionFound("found"), RegressionFound("computed")
    concluding: list[RegressionFound] = []
    records = len(past_runs(lab.store))

    def compose(config: Any, run: Any) -> Any:
        run.unrecorded = True
        run.lines.append(PlannedStage("report", report, hit=True, rows=None))
        return report

    def conclude(config: Any, run: Any, result: Any) -> None:
        if concluding:
            raise concluding[0]

    def run_it(*words: Any) -> None:
        raise computed

    flow = find_flow("tokenskip-math")
    entry = FlowEntry(flow.name, flow.config, compose, flow.execute, lambda result: None, conclude)
    config = flow.config.model_validate({"store": lab.store.root, "train": {"learning_rate": 2e-3}})
    monkeypatch.setattr(execution, "execute_entry", run_it)
    done = execution.run_missing(entry, config, [])
    assert (done.verdict, done.result.ref) == (computed, report)
    assert "running the flow for its record" in capsys.readouterr().out
    assert len(past_runs(lab.store)) == records  # which a flow that is run writes itself
    concluding.append(found)
    assert execution.run_missing(entry, config, []).verdict is found
    assert len(past_runs(lab.store)) == records + 1 and capsys.readouterr().out == ""


def test_work_dir_that_cannot_be_made_is_named_before_the_prefect_server_starts(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = [f"store={tmp_path / 'store'}", "model=latent-mini", f"runtime.work_dir={tmp_path / 'file' / 'work'}"]
    with pytest.raises(InputError, match=r"^runtime\.work_dir: .*file/work cannot be made"):
        execution.execute("reevaluate", None, settings, [])
