"""Sweeps: one plan over all points, shared stages computed once, failures that cost their own point alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from typer.testing import CliRunner

from bench.here import run_here
from flows.cli.main import app
from flows.cli.sweep import show_results, write
from flows.launch import execute as execution
from flows.launch import sweep as sweeping
from flows.launch.registry import FlowEntry
from flows.launch.sweep import Point, PointResult, plan_sweep, with_results
from latent_core.config.base import IDENTITY
from latent_core.config.runtime import RuntimeConfig
from latent_core.errors import InputError
from latent_core.store import Artifact, ArtifactRef, ArtifactStore
from tasks.run.protocol import Run
from tests.support.lab import Lab
from tests.support.toy_stages import CopyInputs, Numbers, SumInputs, ToyConfig, ToyInputs, add_up, copy, count_up


class Toy(ToyConfig):
    """Numbers, which are copied and added up; 13 brings bad luck."""

    count: Annotated[int, IDENTITY] = 3
    adds: Annotated[tuple[int, ...], IDENTITY] = (1,)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Its settings. The flow runs in this process."""
    log = str(tmp_path / "log")

    def compose(config: Toy, run: Run) -> ArtifactRef:
        numbers = run.stage(count_up, Numbers(count=config.count, log=log), ToyInputs())
        trouble = "bad_input" if 13 in config.adds else ""
        if trouble:
            run.stage(count_up, Numbers(count=13, log=log, trouble=trouble), ToyInputs())
        copied = run.stage(copy, Numbers(count=sum(config.adds), log=log), CopyInputs(numbers))
        return run.stage(add_up, Numbers(count=sum(config.adds), log=log), SumInputs((copied,)))

    def show(result: Artifact) -> None: ...

    entry = FlowEntry("toy", Toy, compose, lambda *words: None, show)

    def here(entry: FlowEntry, config: Any, force: list[str]) -> None:
        run_here("toy", entry, config)

    monkeypatch.setattr(execution, "_ENVIRONMENT", {})
    monkeypatch.setattr(execution, "execute_entry", here)
    monkeypatch.setattr(sweeping, "find_flow", lambda name: entry)
    runtime = RuntimeConfig(work_dir=str(tmp_path / "work"), retries=0)
    return [f"store={tmp_path / 'store'}", f"runtime={json.dumps(runtime.model_dump(mode='json'))}"]


def _sweep(settings: list[str], *words: str) -> Any:
    options = [word for setting in settings for word in ("--set", setting)]
    return CliRunner().invoke(app, ["sweep", "tokenskip-math", *options, *words])


def test_sweep_plan_counts_shared_stages_once_and_computes_nothing(toy: list[str], tmp_path: Path) -> None:
    planned = plan_sweep("toy", None, toy, ["adds=[1],[2],[3]"])
    assert (planned.stages, planned.shared, planned.missing) == (7, 1, 7)
    assert [point.new for point in planned.points] == [3, 2, 2]
    assert not (tmp_path / "log").exists()


def test_sweep_computes_what_points_share_once(toy: list[str], tmp_path: Path) -> None:
    result = _sweep(toy, "--over", "count=3,4", "--over", "adds=[1],[2]")
    assert result.exit_code == 0, result.output
    words = (tmp_path / "log").read_text().split()
    assert (words.count("numbers3"), words.count("numbers4"), words.count("sum")) == (1, 1, 4)
    assert "point 4 of 4: count=4 adds=[2]" in result.output


def test_sweep_goes_on_after_a_point_that_fails_and_says_which_did(toy: list[str], tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    result = _sweep(toy, "--over", "adds=[13],[2]", "--out", str(out))
    assert result.exit_code == 1 and "1 of 2 points failed: adds=[13]" in result.output
    assert "count: is not to my liking" in result.output
    assert [bool(row["failure"]) for row in json.loads(out.read_text())] == [True, False]
    assert len(list(ArtifactStore(tmp_path / "store").list("sum"))) == 1


@pytest.mark.parametrize(
    ("over", "line"),
    [
        (["conut=1,2"], r"^conut: unknown key; did you mean 'count'\?$"),
        (["count="], r"^--over: count has no value"),
        (["count=1,2,1"], r"^--over: count has the value 1 twice"),
        (["count=1,1.0"], r"^--over: count has the value 1 twice"),
        (["count=1", "count=2"], r"^--over: a parameter is given twice"),
        (["count=1,'1'"], r"^--over: count=1 and count=1 are the same parameters"),
        (["count=1,many"], r"^count: .*got 'many'"),
        (["count"], r"^--over: 'count' must look like"),
        (["count=[1"], r"^--over: the values in 'count=\[1' are no list"),
        (["store=a,b"], r"^--over: store changes no result"),
        (["runtime.workers=1,2"], r"^--over: runtime\.workers changes no result"),
        (["count.more=1"], r"^count: "),
        ([f"count={','.join(map(str, range(1001)))}"], r"^--over: these are 1,001 points"),
    ],
)
def test_sweep_over_what_cannot_be_varied_is_one_line_before_anything_runs(
    toy: list[str], tmp_path: Path, over: list[str], line: str
) -> None:
    with pytest.raises(InputError, match=line) as error:
        plan_sweep("toy", None, toy, over)
    assert "\n" not in str(error.value) and not (tmp_path / "log").exists()


def test_sweep_with_a_file_for_its_results_that_cannot_be_is_refused_first(toy: list[str], tmp_path: Path) -> None:
    result = _sweep(toy, "--over", "count=1,2", "--out", str(tmp_path / "results.xlsx"))
    assert isinstance(result.exception, InputError) and not (tmp_path / "log").exists()


def test_results_of_a_sweep_are_a_row_for_each_point_and_condition(tmp_path: Path) -> None:
    lab, config = Lab(tmp_path), Toy.model_validate({"store": "s", "runtime": {}})
    reports = {rate: lab.report(rate, right) for rate, right in ((1e-3, 30), (2e-3, 10))}
    done = [PointResult(Point({"train.learning_rate": rate}, config), report) for rate, report in reports.items()]
    done.append(PointResult(Point({"train.learning_rate": 3e-3}, config), None, "out of memory"))
    write(tmp_path / "results.csv", with_results(lab.store, done))
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert [(row["train.learning_rate"], row["condition"], row["value"]) for row in rows] == [
        ("0.001", "dual, ratio 0.5", "0.75"),
        ("0.001", "dual, ratio 1", "0.95"),
        ("0.002", "dual, ratio 0.5", "0.25"),
        ("0.002", "dual, ratio 1", "0.95"),
        ("0.003", "", ""),
    ]
    assert rows[-1]["failure"] == "out of memory"


def test_point_with_a_verdict_shows_its_results_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab, config = Lab(tmp_path), Toy.model_validate({"store": "s", "runtime": {}})
    verdicts = {1e-3: "", 2e-3: "got worse since"}
    done = [
        PointResult(Point({"train.learning_rate": rate}, config), lab.report(rate, 30), verdict)
        for rate, verdict in verdicts.items()
    ]
    show_results(with_results(lab.store, done))
    good, worse = (line for line in capsys.readouterr().out.splitlines() if "dual 95.0 to 75.0" in line)
    assert "0.002" in worse and "failed: got worse since" in worse and "failed" not in good
