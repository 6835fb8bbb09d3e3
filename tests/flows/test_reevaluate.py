"""Re-evaluation: a model that got worse beyond noise fails every run, computed or cached, until it is mended."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.launch import execute as execution
from flows.launch.plan import plan
from flows.launch.registry import find_flow
from latent_core.config.ratio_form import AUTO, RatioForm
from latent_core.config.reevaluate import ReevaluateConfig
from latent_core.errors import InputError, RegressionFound
from latent_core.models.ratio_tokens import RatioTokens
from latent_core.store import DamagedError
from tasks.compare import COMPARISON_JSON, COMPARISON_MARKDOWN, compare_evaluations
from tasks.tables import SAMPLES
from tasks.tracking.journal import Journal, JournalEntry, journals
from tasks.tracking.mlflow import open_client
from tests.support.nights import NAME, QUESTIONS, Nights


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables, which take seconds to make."""
    folder = tmp_path_factory.mktemp("tables")
    open_client(Nights(folder).config().tracking)
    return folder / "mlflow.db"


@pytest.fixture
def nights(tmp_path: Path, tables: Path) -> Nights:
    shutil.copy(tables, tmp_path / "mlflow.db")
    return Nights(tmp_path)


def _fallen_champion(nights: Nights, config: ReevaluateConfig) -> None:
    """A good champion, accepted; then a worse one, evaluated but not yet judged."""
    nights.crown(1)
    nights.answer(config, {1.0: 50, 0.5: 40})
    nights.night(config)
    nights.crown(2)
    nights.answer(config, {1.0: 50, 0.5: 20})


@pytest.fixture
def from_the_command_line(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`latent run reevaluate`, whose flow, where it is run at all, runs in this process; returns how often it was."""
    entry = find_flow("reevaluate")
    flows: list[ReevaluateConfig] = []

    def execute(config: ReevaluateConfig, force: list[str]) -> None:
        flows.append(config)
        nights.night(config)

    monkeypatch.setattr(execution, "_ENVIRONMENT", {})
    monkeypatch.setattr(execution, "find_flow", lambda name: dataclasses.replace(entry, execute=execute))
    monkeypatch.setattr("flows.launch.server.ensure_server", lambda logs: None)

    def run(**fields: Any) -> int:
        file = nights.folder / "parameters.yaml"
        file.write_text(yaml.safe_dump(nights.parameters() | fields))
        before = len(flows)
        execution.execute("reevaluate", file, [], [])
        return len(flows) - before

    return run


def test_worse_champion_fails_every_night_until_it_is_moved_back(nights: Nights) -> None:
    config = nights.config()
    _fallen_champion(nights, config)
    for _ in range(2):
        with pytest.raises(RegressionFound, match=r"@champion got worse.*ratio 0\.5: accuracy -33\.3 points"):
            nights.night(config)
    nights.crown(1)
    nights.night(config)
    assert [journal.status for journal in journals(nights.store)] == ["FINISHED", "FAILED", "FAILED", "FINISHED"]


def test_cached_reevaluation_of_a_worse_champion_fails_every_time_it_is_run(nights: Nights) -> None:
    config = nights.config()
    _fallen_champion(nights, config)
    with pytest.raises(RegressionFound):  # from here on everything is in the store, the comparison too
        nights.night(config)
    file = nights.folder / "parameters.yaml"
    file.write_text(yaml.safe_dump(nights.parameters()))
    command = [sys.executable, "-m", "flows.cli", "run", "reevaluate", "-c", str(file)]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 1 and "nothing to compute" not in done.stdout
        assert "Traceback" not in done.stderr and "ratio 0.5" in done.stdout  # the table is shown all the same
        assert re.search(r"error: models:/toy@champion got worse .*ratio 0\.5: accuracy -33\.3", done.stderr)


def test_command_line_gives_the_verdict_with_evaluations_and_report_cached(
    nights: Nights, from_the_command_line: Callable[..., int]
) -> None:
    config = nights.config()
    nights.crown(2)
    nights.answer(config, {1.0: 50, 0.5: 20})
    untracked = nights.parameters()["tracking"] | {"enabled": False}
    nights.night(nights.config(tracking=untracked))  # the report, without a record
    nights.crown(1)
    nights.answer(config, {1.0: 50, 0.5: 40})
    nights.night(config)
    nights.crown(2)
    for _ in range(2):
        with pytest.raises(RegressionFound, match=r"ratio 0\.5"):
            from_the_command_line()


def test_cached_acceptance_is_said_and_recorded_once_and_holds(
    nights: Nights, from_the_command_line: Callable[..., int], caplog: pytest.LogCaptureFixture
) -> None:
    config = nights.config()
    _fallen_champion(nights, config)
    with pytest.raises(RegressionFound):
        nights.night(config)
    with pytest.raises(RegressionFound):
        from_the_command_line()
    assert from_the_command_line(fail_on_regression=False) == 1  # nothing is computed, but what is accepted is recorded
    assert caplog.text.count("got worse") == 1 and "Accepted" in caplog.text
    assert from_the_command_line() == 0
    assert [journal.status for journal in journals(nights.store)][-1] == "FINISHED"


def test_acceptance_without_a_record_is_said_every_time_and_for_what_it_is(
    nights: Nights, from_the_command_line: Callable[..., int], caplog: pytest.LogCaptureFixture
) -> None:
    _fallen_champion(nights, nights.config())
    untracked = nights.parameters()["tracking"] | {"enabled": False}
    accepting: dict[str, Any] = {"tracking": untracked, "fail_on_regression": False}
    nights.night(nights.config(**accepting))
    for times in (1, 2):
        assert caplog.text.count("got worse") == caplog.text.count("nothing was recorded") == times
        assert from_the_command_line(**accepting) == 0
    assert "compared with this one" not in caplog.text
    with pytest.raises(RegressionFound):
        from_the_command_line()


def test_champion_that_did_not_change_starts_no_flow(nights: Nights, from_the_command_line: Callable[..., int]) -> None:
    config = nights.config()
    nights.crown(1)
    nights.answer(config, {1.0: 50, 0.5: 40})
    assert from_the_command_line() == 1
    assert from_the_command_line() == 0


def test_difference_within_noise_or_upwards_passes(nights: Nights) -> None:
    config = nights.config()
    for seed, right in enumerate((50, 48, 60)):
        nights.crown(seed)
        nights.answer(config, {1.0: right, 0.5: right})
        nights.night(config)


def test_accepted_regression_becomes_the_yardstick(nights: Nights, caplog: pytest.LogCaptureFixture) -> None:
    config = nights.config()
    _fallen_champion(nights, config)
    nights.night(nights.config(fail_on_regression=False))
    assert "got worse" in caplog.text
    nights.night(config)


def test_other_model_or_setting_is_not_compared(nights: Nights) -> None:
    _fallen_champion(nights, nights.config())
    for fields in ({"model": f"models:/{NAME}/2"}, {"benchmark": {"difficulties": [2]}}):
        other = nights.config(**fields)
        nights.answer(other, {1.0: 20, 0.5: 20})
        nights.night(other)


def test_message_names_both_versions_the_change_and_the_run_it_is_measured_by(nights: Nights) -> None:
    config = nights.config()
    _fallen_champion(nights, config)
    yardstick = next(iter(journals(nights.store)))
    with pytest.raises(RegressionFound) as failure:
        nights.night(config)
    message = str(failure.value)
    assert "66.7% -> 33.3%" in message and f"on {QUESTIONS} questions" in message
    assert re.search(r"Before: version 1 \(train/\w{12}\); now: version 2 \(train/\w{12}\)", message)
    assert f"run {yardstick.run} of 20" in message and "ratio 1:" not in message
    (comparison,) = nights.store.list(compare_evaluations.name)
    assert str(comparison) in message
    artifact = nights.store.require(comparison)
    rows = {row["condition"]: row for row in json.loads(artifact.read_bytes(COMPARISON_JSON))}
    assert {name: row["fell"] for name, row in rows.items()} == {"ratio 1": False, "ratio 0.5": True}
    assert "| ratio 0.5 | 60 | 66.7% | 33.3% | -33.3" in artifact.read_bytes(COMPARISON_MARKDOWN).decode()


def test_worse_champion_fails_where_mlflow_has_lost_its_runs(nights: Nights) -> None:
    config = nights.config()
    _fallen_champion(nights, config)
    client, experiment = open_client(config.tracking)
    for run in client.search_runs([experiment]):
        client.delete_run(run.info.run_id)
    with pytest.raises(RegressionFound):
        nights.night(config)


def test_damaged_comparison_is_no_verdict(nights: Nights, from_the_command_line: Callable[..., int]) -> None:
    config = nights.config()
    _fallen_champion(nights, config)
    with pytest.raises(RegressionFound):
        nights.night(config)
    (ref,) = nights.store.list(compare_evaluations.name)
    path = nights.store.local_path(nights.store.require(ref).key(COMPARISON_JSON))
    assert path is not None
    path.write_bytes(path.read_bytes().replace(b'"fell": true', b'"fell": 0   '))
    with pytest.raises(DamagedError):
        nights.store.require(ref).read_bytes(COMPARISON_JSON)
    with pytest.raises(RegressionFound):  # it is computed again
        from_the_command_line()


def test_parameters_that_are_left_out_follow_the_champions_first_evaluation(nights: Nights) -> None:
    nights.crown(1)
    nights.answer(nights.config(), {1.0: 50, 0.5: 40})
    later = {"questions": 20, "ratios": [0.7], "sampling": {"max_new_tokens": 8}}
    nights.answer(nights.config(benchmark={"difficulties": [3]}, evaluate=later), {0.7: 5})
    bare = {name: value for name, value in nights.parameters().items() if name not in ("benchmark", "evaluate")}
    followed = plan(find_flow("reevaluate"), ReevaluateConfig.model_validate(bare))[0]
    given = plan(find_flow("reevaluate"), nights.config())[0]
    evaluations = [line.ref for line in given.lines if line.ref.stage == "evaluate"]
    assert [line.ref for line in followed.lines if line.ref.stage == "evaluate"] == evaluations
    (note,) = followed.notes
    assert f"{QUESTIONS} questions of word_problems at ratios 1, 0.5" in note and "version 1 (train/" in note
    assert "all as it was evaluated first (evaluate/" in note

    partly = plan(
        find_flow("reevaluate"), ReevaluateConfig.model_validate(bare | {"evaluate": {"ratios": [0.5, 0.3]}})
    )[0]
    assert next(line.ref for line in partly.lines if line.ref.stage == "evaluate") == evaluations[1]
    assert "the parameters say evaluate.ratios, the rest is as it was" in partly.notes[0]


def test_champion_that_chose_its_ratio_is_left_to_choose_it_again_and_judged_by_that(nights: Nights) -> None:
    tokens = RatioTokens(RatioForm.ECHO, (1.0, 0.5), (7, 8), 9)
    for seed, right in ((1, 50), (2, 20)):
        nights.crown(seed, tokens)
        evaluate = nights.parameters()["evaluate"] | {"auto_ratio": True}
        nights.answer(nights.config(evaluate=evaluate), {1.0: 50, 0.5: 40, AUTO: right})
        bare = {name: value for name, value in nights.parameters().items() if name not in ("benchmark", "evaluate")}
        config = ReevaluateConfig.model_validate(bare)
        run, _ = plan(find_flow("reevaluate"), config)
        assert "at ratios 1, 0.5, auto, temperature" in run.notes[0]
        assert all(line.hit for line in run.lines if line.ref.stage == "evaluate")
        if seed == 1:
            nights.night(config)
    with pytest.raises(RegressionFound, match=r"auto ratio: accuracy -50\.0 points"):
        nights.night(config)


def test_benchmark_of_an_evaluation_by_an_older_release_is_read_from_its_runs_journal(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.workers.compute.record_of", lambda call: {"environment": {}, "process": 1})
    nights.crown(1)
    nights.answer(nights.config(), {1.0: 50, 0.5: 40})
    bare = {name: value for name, value in nights.parameters().items() if name not in ("benchmark", "evaluate")}
    config = ReevaluateConfig.model_validate(bare)
    with pytest.raises(InputError, match="give benchmark"):
        plan(find_flow("reevaluate"), config)
    journal = Journal("old", "tokenskip-math", "", {"benchmark": nights.parameters()["benchmark"]}, 0.0)
    for ref in nights.store.list("evaluate"):
        journal.stages.append(JournalEntry(ref.stage, ref.fingerprint, cached=False))
    journal.write(nights.store)
    run, _ = plan(find_flow("reevaluate"), config)
    assert {line.ref for line in run.lines if line.hit} == set(nights.store.list("evaluate"))


def test_champion_that_was_never_evaluated_needs_a_benchmark(nights: Nights) -> None:
    nights.crown(1)
    bare = {name: value for name, value in nights.parameters().items() if name not in ("benchmark", "evaluate")}
    with pytest.raises(InputError, match=r"^benchmark: .*version 1 \(train/.*give benchmark"):
        plan(find_flow("reevaluate"), ReevaluateConfig.model_validate(bare))


def test_model_from_outside_is_evaluated_by_default_parameters(tmp_path: Path) -> None:
    config = ReevaluateConfig.model_validate({"store": str(tmp_path), "tracking": {"enabled": False}})
    run, _ = plan(find_flow("reevaluate"), config)
    assert len([line for line in run.lines if line.ref.stage == "evaluate"]) == 4
    assert "500 questions of word_problems" in run.notes[0] and "all by default" in run.notes[0]


@pytest.mark.parametrize("harm", ["flipped", "cut", "deleted"])
def test_damaged_yardstick_is_refused_and_a_deleted_one_is_said(
    nights: Nights, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = nights.config()
    nights.crown(1)
    nights.answer(config, {1.0: 50, 0.5: 40})
    nights.night(config)
    old = list(nights.store.list("evaluate"))
    nights.crown(2)
    nights.answer(config, {1.0: 50, 0.5: 20})
    for ref in old:
        path = nights.store.local_path(nights.store.require(ref).key(SAMPLES.file))
        assert path is not None
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(bytes(raw)[: None if harm == "flipped" else 100])
        if harm == "deleted":
            nights.store.set_aside(ref)
    if harm == "deleted":
        with caplog.at_level("INFO", "latent"):
            nights.night(config)
        assert "has not all any more: nothing is compared" in caplog.text
        return
    for _ in range(2):
        with pytest.raises(DamagedError, match=r"evaluate/\w{12}( is damaged)?: samples\.parquet"):
            nights.night(config)
    assert [journal.status for journal in journals(nights.store)] == ["FINISHED", "FAILED", "FAILED"]
