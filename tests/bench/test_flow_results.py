"""A results file of a finished flow: the report's numbers, and what the stages behind it took."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.flow_results import flow_results, main, ran
from latent_core.errors import InputError
from latent_core.identity import fingerprint
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, begin


def _made(
    store: ArtifactStore, stage: str, seconds: float, numbers: Any = None, table: str = "", **parents: ArtifactRef
) -> Artifact:
    config = {"stage": stage, "seconds": seconds}
    ref = ArtifactRef(stage, fingerprint(stage, 1, config, {role: one.fingerprint for role, one in parents.items()}))
    with begin(store, ref) as out:
        if numbers is not None:
            with out.open("results.json") as file:
                file.write(json.dumps(numbers).encode())
        if table:
            with out.open("results.csv") as file:
                file.write(table.encode())
        started = {"seconds": seconds, "started": datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()}
        made_by = {"environment": {"commit": "abc", "machine": "x86_64", "torch": "2"}}
        return out.commit(config=config, parents=parents, record=started | made_by)


def test_flow_results_have_the_numbers_and_the_seconds_of_every_stage_behind_the_report(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    first, second, other = (_made(store, "train", seconds) for seconds in (1.0, 2.0, 50.0))
    played = [_made(store, "play", 10.0, model=one.ref) for one in (first, second)]
    report = _made(store, "report_agents", 0.4, {"arms": [1, 2]}, one=played[0].ref, two=played[1].ref)
    found = flow_results(report, store)
    assert found["report"] == str(report.ref) and found["arms"] == [1, 2]
    assert found["seconds"] == {"train": 3, "play": 20, "report_agents": 0}
    assert other.ref.stage == "train"  # of another report
    assert ran(report) == {"date": "2026-01-31", "commit": "abc", "versions": {"torch": "2"}}


def test_flow_results_of_the_main_job_are_the_rows_of_its_table(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    report = _made(store, "report", 1.0, table="model,ratio,accuracy\r\nstandard,0.5,0.25\r\nbase,,0.34\r\n")
    assert flow_results(report, store)["rows"] == [
        {"model": "standard", "ratio": 0.5, "accuracy": 0.25},
        {"model": "base", "ratio": None, "accuracy": 0.34},
    ]


def test_results_file_says_when_and_with_what_the_flow_ran_and_not_this_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = _made(ArtifactStore(str(tmp_path / "store")), "report_agents", 0.4, {"arms": [1]})
    words = ["flow_results", report.ref.key[:24], "--store", str(tmp_path / "store"), "--flow", "rl", "-c", "rl.yaml"]
    monkeypatch.setattr(sys, "argv", [*words, "--json", str(tmp_path / "out.json")])
    main()
    written = json.loads((tmp_path / "out.json").read_text())
    about = {"date": "2026-01-31", "commit": "abc", "versions": {"torch": "2"}, "run": "latent run rl -c rl.yaml"}
    assert about.items() <= written["measured"].items() and "machine" in written["measured"]
    assert written["results"]["arms"] == [1]
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--set", "placebo=false", "--set", "seeds=[1, 2]"])
    main()
    again = json.loads((tmp_path / "out.json").read_text())["measured"]
    assert again["run"] == "latent run rl -c rl.yaml --set placebo=false --set 'seeds=[1, 2]'"


def test_flow_results_of_what_is_no_report_are_refused(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    with pytest.raises(InputError, match=r"train/.*: has no results\.json or results\.csv; name the report"):
        flow_results(_made(store, "train", 1.0), store)
