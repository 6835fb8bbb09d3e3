"""`latent runs`, `diff` and `open`: what was run, why two runs differ, and where the report is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from latent_core.errors import InputError, StageFailed
from tasks.run.history import RunRecord, RunState, find_run, past_runs
from tests.support.lab import Lab, two_runs


def _said(*words: str, lab: Lab) -> str:
    result = CliRunner().invoke(app, [*words, "--store", lab.store.root])
    assert result.exit_code == 0, f"{result.output}\n{result.exception}"
    return result.output


def test_runs_say_what_was_new_and_the_accuracies_without_mlflow_or_prefect(tmp_path: Path) -> None:
    printed = _said("runs", lab=two_runs(tmp_path))
    newest, first = (line for line in printed.splitlines() if "tokenskip-math" in line)
    assert "train.learning_rate 0.001 → 0.002" in newest and "dual 95.0 to 25.0" in newest
    assert "(first)" in first and "dual 95.0 to 75.0" in first


def test_runs_as_json_have_every_result_with_its_interval(tmp_path: Path) -> None:
    newest, _ = json.loads(_said("runs", "--json", lab=two_runs(tmp_path)))
    assert newest["differs"] == {"train.learning_rate": ["0.001", "0.002"]} and newest["state"] == "finished"
    result = next(one for one in newest["results"] if one["name"] == "dual, ratio 0.5")
    assert result["accuracy"] == 0.25 and result["low"] < 0.25 < result["high"]


def test_runs_that_failed_say_why_and_those_of_other_flows_are_left_out(tmp_path: Path) -> None:
    lab = two_runs(tmp_path)
    lab.run(3e-3, None, StageFailed("train dual: out of memory"))
    assert "30000000 failed: train dual: out of memory" in _said("runs", lab=lab)
    assert "no run left a record" in _said("runs", "grpo", lab=lab)


def test_record_without_an_end_is_of_a_run_that_lives_or_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab(tmp_path)
    journal = lab.begin(1e-3)
    journal.started = 9e9  # this process was there before
    RunRecord(lab.store, journal, "")
    assert find_run(lab.store, "last").state is RunState.RUNNING
    monkeypatch.setattr("os.getpid", lambda: 2**22 + 1)  # above what Linux gives
    RunRecord(lab.store, lab.begin(2e-3), "")
    assert find_run(lab.store, "last~1").state is RunState.KILLED


def test_torn_record_costs_itself_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lab = two_runs(tmp_path)
    (tmp_path / "store" / ".runs" / f"1{'0' * 31}.begun").write_text('{"id": "1')
    assert [past.short for past in past_runs(lab.store)] == ["20000000"]
    assert "no whole record" in caplog.text


def test_run_of_a_release_without_records_is_told_from_its_journal(tmp_path: Path) -> None:
    from tasks.tracking.journal import JournalEntry

    lab = Lab(tmp_path)
    report, journal = lab.report(1e-3, 30), lab.begin(1e-3)
    journal.stages.append(JournalEntry(report.stage, report.fingerprint, cached=False))
    journal.close("FINISHED")
    journal.write(lab.store)
    (past,) = past_runs(lab.store)
    assert past.result == report and past.state is RunState.FINISHED


@pytest.mark.parametrize("word", ["f", "", "last~2"])
def test_run_that_cannot_be_told_is_refused(tmp_path: Path, word: str) -> None:
    with pytest.raises(InputError, match=r"^run: .*`latent runs` lists them"):
        find_run(two_runs(tmp_path).store, word)


def test_diff_of_runs_names_the_parameter_the_first_cause_and_what_became_of_the_results(tmp_path: Path) -> None:
    printed = _said("diff", "last~1", "last", lab=two_runs(tmp_path))
    assert "train.learning_rate" in printed and "first cause: stage train (train/dual)" in printed
    assert "learning_rate: 0.001 → 0.002" in printed and "differs besides" not in printed
    assert "follows from that: report, 2 evaluate" in printed
    (line,) = [line for line in printed.splitlines() if "dual, ratio 0.5" in line]
    assert "75.0 %" in line and "25.0 %" in line and "-50.0" in line


def test_diff_of_one_artifact_with_itself_says_that_numbers_are_equal(tmp_path: Path) -> None:
    lab = two_runs(tmp_path)
    report = str(lab.report(1e-3, 30))
    assert "every number is the same" in _said("diff", report, report, lab=lab)


def test_diff_of_files_takes_a_default_said_for_the_same_as_one_unsaid(tmp_path: Path) -> None:
    lab = two_runs(tmp_path)
    said, unsaid = tmp_path / "a.yaml", tmp_path / "b.yaml"
    said.write_text("model: latent-mini\nvariants: [standard]\n")
    unsaid.write_text("variants: [standard]\nruntime: {workers: 2}\n")
    printed = _said("diff", str(said), str(unsaid), "--flow", "tokenskip-math", lab=lab)
    assert "none differs that can change a result" in printed and "of no consequence: runtime.workers" in printed


def test_diff_of_a_run_and_a_file_is_of_their_parameters(tmp_path: Path) -> None:
    lab, file = two_runs(tmp_path), tmp_path / "next.yaml"
    file.write_text("train: {learning_rate: 0.004}\n")
    printed = json.loads(_said("diff", "last", str(file), "--json", lab=lab))
    changed = {item["field"]: item["after"] for item in printed["parameters"] if item["changes_results"]}
    assert changed == {"train.learning_rate": 0.004}


def test_open_prints_the_report_of_a_run_and_why_another_has_none(tmp_path: Path) -> None:
    lab = two_runs(tmp_path)
    assert "report.html" in _said("open", "last", lab=lab).replace("\n", "")
    lab.run(3e-3, None, StageFailed("train dual: out of memory"))
    result = CliRunner().invoke(app, ["open", "30000000", "--store", lab.store.root])
    assert isinstance(result.exception, InputError) and "failed and has no result" in str(result.exception)


@pytest.mark.parametrize("odd", ["sqlite:///old.db", ["uri"], {"uri": "https://me:word@host"}, {"enabled": "perhaps"}])
def test_open_of_an_odd_old_record_shows_the_report_and_says_what_is_not_known(tmp_path: Path, odd: object) -> None:
    lab = Lab(tmp_path)
    journal = lab.begin(1e-3)
    journal.config["tracking"] = odd
    RunRecord(lab.store, journal, "").end(None, lab.report(1e-3, 30))
    printed = _said("open", "last", lab=lab)
    assert "report.html" in printed.replace("\n", "")
    assert "MLflow:  not known" in printed and "word" not in printed


def test_diff_of_a_file_that_is_not_there_names_the_file(tmp_path: Path) -> None:
    lab = two_runs(tmp_path)
    result = CliRunner().invoke(app, ["diff", "last", "next.yaml", "--store", lab.store.root])
    assert isinstance(result.exception, InputError) and str(result.exception) == "file: next.yaml does not exist"


def test_run_that_prefect_cancels_is_cancelled_and_not_failed(tmp_path: Path) -> None:
    from prefect.exceptions import CancelledRun

    lab = Lab(tmp_path)
    lab.run(1e-3, None, CancelledRun("by hand"))
    past = find_run(lab.store, "last")
    assert past.state is RunState.CANCELLED and past.failure == ""


@pytest.mark.parametrize("changes", [{"config": None}, {"started": None}, {"started": "soon"}])
def test_record_of_other_kinds_of_values_costs_itself_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, changes: dict[str, object]
) -> None:
    lab = two_runs(tmp_path)
    record = tmp_path / "store" / ".runs" / f"1{'0' * 31}.begun"
    record.write_text(json.dumps(json.loads(record.read_text()) | changes))
    assert "20000000" in _said("runs", lab=lab) and "no whole record" in caplog.text


def test_diff_of_runs_of_a_flow_that_this_release_does_not_have_compares_them_as_written(tmp_path: Path) -> None:
    lab = two_runs(tmp_path)
    for record in (tmp_path / "store" / ".runs").glob("*.begun"):
        record.write_text(json.dumps(json.loads(record.read_text()) | {"flow": "of-old"}))
    assert "train.learning_rate" in _said("diff", "last~1", "last", lab=lab)


def test_diff_for_an_unknown_flow_names_the_option(tmp_path: Path) -> None:
    lab = two_runs(tmp_path)
    result = CliRunner().invoke(app, ["diff", "last~1", "last", "--flow", "nothing", "--store", lab.store.root])
    assert isinstance(result.exception, InputError) and str(result.exception).startswith("--flow: unknown flow")
