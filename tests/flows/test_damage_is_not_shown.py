"""A finished run whose files were damaged: said and computed again by `latent run`, refused by what only reads."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from bench.bit_flips import flip
from bench.here import run_here
from flows.cli.main import app
from flows.launch import execute as execution
from flows.launch.registry import find_flow
from flows.parts.publish import findings
from flows.tokenskip_math import conclude
from latent_core.config.reevaluate import ReevaluateConfig
from latent_core.config.tokenskip import TokenSkipConfig
from latent_core.identity import fingerprint
from latent_core.store import ArtifactRef, ArtifactStore, DamagedError, begin
from tasks.run.plan import open_plan
from tasks.tables import SAMPLES
from tasks.tracking.journal import Journal, JournalModel, journals, last_accepted


def _parameters(folder: Path) -> dict[str, Any]:
    return {
        "benchmark": {"difficulties": [1]},
        "evaluate": {"questions": 6, "ratios": [1.0, 0.5], "sampling": {"max_new_tokens": 16}},
        "store": str(folder / "store"),
        "runtime": {"work_dir": str(folder / "work")},
        "tracking": {"enabled": False},
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a small re-evaluation was finished."""
    folder = tmp_path_factory.mktemp("finished")
    run_here("reevaluate", find_flow("reevaluate"), ReevaluateConfig.model_validate(_parameters(folder)))
    return folder


@pytest.fixture
def again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[], tuple[str, list[str]]]:
    """The same command once more: what it prints, and which stages its flow computes, here in this process."""
    entry = find_flow("reevaluate")
    computed: list[str] = []

    def execute(config: ReevaluateConfig, force: list[str]) -> None:
        computed.extend(call.title for call in run_here("reevaluate", entry, config)[1])

    monkeypatch.setattr(execution, "_ENVIRONMENT", {})
    monkeypatch.setattr("flows.launch.server.ensure_server", lambda logs: None)
    monkeypatch.setattr(execution, "find_flow", lambda name: dataclasses.replace(entry, execute=execute))
    file = folder / "parameters.yaml"
    file.write_text(yaml.safe_dump(_parameters(folder)))

    def run() -> tuple[str, list[str]]:
        computed.clear()
        capsys.readouterr()
        execution.execute("reevaluate", file, [], [])
        return capsys.readouterr().out, list(computed)

    return run


def _file(store: ArtifactStore, ref: ArtifactRef, name: str) -> Path:
    path = store.local_path(store.require(ref).key(name))
    assert path is not None
    return path


@pytest.mark.parametrize(
    ("stage", "name"), [("evaluate", SAMPLES.file), ("report", "report.html"), ("report", "table.md")]
)
def test_run_over_a_damaged_result_says_so_computes_it_again_and_shows_the_same_table(
    folder: Path,
    again: Callable[[], tuple[str, list[str]]],
    caplog: pytest.LogCaptureFixture,
    stage: str,
    name: str,
) -> None:
    store = ArtifactStore(str(folder / "store"))
    table, computed = again()
    assert computed == [] and "nothing to compute" in table
    ref = next(store.list(stage))
    path = _file(store, ref, name)
    flip(path, 4 * path.stat().st_size)
    with caplog.at_level(logging.WARNING, "latent"):
        repaired, computed = again()
    assert [title.partition(" ")[0] for title in computed] == [stage]
    assert caplog.text.count("is damaged and is computed again") == 1 and f": {name}: its bytes are not" in caplog.text
    rows = [line for line in table.splitlines() if line.startswith(" model ")]
    assert rows and all(row in repaired for row in rows)
    assert store.verify(ref).ok
    table, computed = again()
    assert computed == [] and "nothing to compute" in table


def test_compare_refuses_a_damaged_evaluation_in_one_line(folder: Path) -> None:
    store = ArtifactStore(str(folder / "store"))
    before, after = store.list("evaluate")
    command = ["compare", before.key, after.key, "--store", store.root]
    whole = CliRunner().invoke(app, command)
    assert whole.exit_code == 0
    assert re.search(r"^reasoning   [\d.]+ -> [\d.]+ tokens, ratio \d\.\d\d \(95 %", whole.output, re.MULTILINE)
    assert re.search(r"^total       [\d.]+ -> [\d.]+ tokens with the answer, ratio", whole.output, re.MULTILINE)
    path = _file(store, after, SAMPLES.file)
    for bit in (5, 4 * path.stat().st_size, 8 * path.stat().st_size - 20):  # header, values, footer
        flip(path, bit)
        result = CliRunner().invoke(app, command)
        flip(path, bit)
        assert isinstance(result.exception, DamagedError)
        assert str(result.exception).startswith(f"{after} is damaged: {SAMPLES.file}: ") and "\n" not in str(
            result.exception
        )


def test_demo_page_refuses_a_damaged_model_and_damaged_samples(tmp_path: Path) -> None:
    from latent_core.ui.catalog import stored_offers
    from latent_core.ui.samples import SampleLibrary
    from tasks.tracking.models import model_directory

    store = ArtifactStore(str(tmp_path / "store"))
    with begin(store, ArtifactRef("train", "a" * 64)) as out:
        with out.directory("weights/model") as directory:
            (directory / "config.json").write_text("{}")
            (directory / "model.safetensors").write_bytes(bytes(1000))
        model = out.commit()
    assert model_directory(model.ref.key, store).is_dir()
    (offer,) = stored_offers(store, ("train",))
    flip(_file(store, model.ref, "weights/model/model.safetensors"), 4321)
    for reader in (lambda: model_directory(model.ref.key, store), offer.locate):
        with pytest.raises(DamagedError, match=r"^train/a{12} is damaged: weights/model/model\.safetensors"):
            reader()
    with begin(store, ArtifactRef("collect", "b" * 64)) as out:
        with out.open(SAMPLES.file) as file:
            file.write(b"PAR1" * 100)
        samples = out.commit()
    flip(_file(store, samples.ref, SAMPLES.file), 9)
    with pytest.raises(DamagedError, match=r"^collect/b{12} is damaged"):
        SampleLibrary(store, SAMPLES.file).page(f"collect/{'b' * 16}", 1)


def test_damage_that_a_run_does_not_look_for_is_set_aside_by_the_command_that_the_refusal_names(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"))
    with begin(store, ArtifactRef("collect", "b" * 64)) as out:
        with out.open(SAMPLES.file) as file:
            file.write(b"PAR1" * 100)
        samples = out.commit()
    whole = samples.ref
    flip(_file(store, whole, SAMPLES.file), 9)
    with pytest.raises(DamagedError) as refusal:
        samples.read_bytes(SAMPLES.file)
    command = str(refusal.value).split("`")[1].split()
    assert command[0] == "latent"
    result = CliRunner().invoke(app, [*command[1:], "--store", store.root])
    assert result.exit_code == 1 and "set aside" in result.output
    assert store.get(whole.stage, whole.fingerprint) is None


def test_page_and_terminal_say_what_the_check_for_contamination_found(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"))
    check = ArtifactRef("contamination", fingerprint("contamination", 1, {}, {}))
    with begin(store, check) as out:
        counts = {"kept": 7, "equal_to_training": 2, "overlap_training": 1}
        out.commit(accounting=counts, metrics={"tested": 10, "training": 50, "procedural": 0})
    with begin(store, ArtifactRef("report", "c" * 64)) as out:
        report = out.commit(parents={"contamination": check})
    (line,) = findings(report)
    assert line.startswith("Contamination: of 10 test questions, 2 are also among the 50 training questions")
    store.set_aside(check)
    assert findings(report) == []


def test_cached_run_starts_its_flow_only_to_register_what_no_earlier_run_did(tmp_path: Path) -> None:
    config = TokenSkipConfig.model_validate(
        {"store": str(tmp_path / "store"), "tracking": {"register_as": "tokenskip-math"}}
    )
    model = ArtifactRef("train", fingerprint("train", 2, {}, {}))
    store = ArtifactStore(config.store)
    with begin(store, ArtifactRef("report", "d" * 64)) as out:
        report = out.commit(parents={"train/standard": model})

    def lacks_a_record(**tracking: Any) -> bool:
        settings = config.model_copy(update={"tracking": config.tracking.model_copy(update=tracking)})
        run = open_plan("tokenskip-math", settings)
        conclude(settings, run, report)
        return run.unrecorded

    assert lacks_a_record()
    assert not lacks_a_record(register_as=None) and not lacks_a_record(enabled=False)
    journal = Journal("one", "tokenskip-math", "", {}, 0.0)
    journal.models.append(JournalModel("tokenskip-math", "standard", model.stage, model.fingerprint))
    journal.write(store)
    assert not lacks_a_record() and lacks_a_record(register_as="another-name")


def test_journal_that_was_altered_is_no_yardstick_and_no_run_is_measured_by_another_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = ReevaluateConfig.model_validate({"store": str(tmp_path / "store")})
    run = open_plan("reevaluate", config)
    for number, report in enumerate(("1" * 64, "2" * 64)):
        Journal(f"night{number}", "reevaluate", "", {}, float(number), tags={"latent.report": report}).write(run.store)
    assert last_accepted(run.store, "reevaluate", {}) is None  # neither has finished
    last = Journal("night2", "reevaluate", "", {}, 2.0, 3.0, "FINISHED", {"latent.report": "3" * 64})
    last.write(run.store)
    assert last_accepted(run.store, "reevaluate", {}) == last
    path = run.store.local_path(".runs/night2.json")
    assert path is not None
    path.write_text(path.read_text().replace("3" * 64, "7" * 64))
    with pytest.raises(DamagedError, match=r"\.runs/night2\.json is damaged .*seal.*delete it"):
        last_accepted(run.store, "reevaluate", {})
    assert [journal.id for journal in journals(run.store)] == ["night0", "night1"]
    assert "night2.json is no whole journal" in caplog.text


def test_journal_that_a_killed_run_was_still_writing_stops_no_later_one(tmp_path: Path) -> None:
    config = ReevaluateConfig.model_validate({"store": str(tmp_path / "store")})
    run = open_plan("reevaluate", config)
    last = Journal("night1", "reevaluate", "", {}, 1.0, 2.0, "FINISHED", {"latent.report": "1" * 64})
    last.write(run.store)
    (tmp_path / "store" / ".runs" / ".night2.json.0123").write_text('{"id": "nig')
    assert last_accepted(run.store, "reevaluate", {}) == last and list(journals(run.store)) == [last]
