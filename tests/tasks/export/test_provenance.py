"""What a card can say of a model's origin where the store knows less than everything."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from latent_core.config.tokenskip import TokenSkipConfig
from latent_core.models.source import open_model
from latent_core.store import ArtifactRef, ArtifactStore, Reference, begin
from tasks.export import provenance
from tasks.export.model import CARD, export_model
from tasks.export.provenance import Provenance
from tasks.run.history import PastRun, RunRecord, past_runs
from tasks.tracking.journal import Journal, JournalEntry
from tests.support.exportable import Exportable
from tests.support.stage_bench import MINI


def test_base_is_named_by_a_runs_record_where_tracking_left_no_journal(tmp_path: Path) -> None:
    made = Exportable(tmp_path, has_journal=False)
    assert _base_name(made) == "a model whose name the store does not know"
    config = TokenSkipConfig.model_validate({"model": "latent-mini"}).model_dump(mode="json")
    record = RunRecord(made.store, Journal("1" * 32, "tokenskip-math", "", config, 1.0), "run")
    record.end(None, made.report({"train/dual": made.trained.ref}))
    assert _base_name(made) == "latent-mini"


def _base_name(made: Exportable) -> str:
    found = Provenance(made.store).base_of(made.trained)
    assert found is not None
    return found[0].name


def test_base_that_is_another_model_by_now_is_said_to_be_so_and_gives_no_licence_text(tmp_path: Path) -> None:
    made = Exportable(tmp_path, base=Reference(None, "12" * 32))  # its run names latent-mini, which has other content
    found = Provenance(made.store).base_of(made.trained)
    assert found is not None and found[1] is None
    assert "has changed since" in found[0].note


def test_base_in_a_directory_gives_its_licence_and_name_but_not_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENT_CACHE", str(tmp_path / "cache"))
    directory = tmp_path / "private" / "my-base"
    directory.mkdir(parents=True)
    for path in MINI.open().iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    (directory / "README.md").write_text("---\nlicense: llama3.2\n---\n# My base\n")
    (directory / "LICENSE").write_text("the licence")
    made = Exportable(tmp_path, str(directory), Reference(None, MINI.fingerprint))
    export_model(made.trained, tmp_path / "out", Provenance(made.store))
    text = (tmp_path / "out" / CARD).read_text(encoding="utf-8")
    assert "From my-base" in text and "holds: `llama3.2`" in text and str(tmp_path) not in text
    assert (tmp_path / "out" / "LICENSE").read_text() == "the licence"


@pytest.mark.parametrize("spec", ["/home/someone/private/my-base", "~/my-base", "./my-base", "a/b/my-base"])
def test_base_in_a_directory_that_is_gone_is_no_model_of_the_hub_and_its_path_is_not_told(
    tmp_path: Path, spec: str
) -> None:
    made = Exportable(tmp_path, spec, Reference(None, "77" * 32))
    found = Provenance(made.store).base_of(made.trained)
    assert found is not None
    assert (found[0].name, found[0].hub) == ("my-base", None) and "not here" in found[0].note


def test_results_on_a_local_file_are_not_called_the_benchmarks(tmp_path: Path) -> None:
    made = Exportable(tmp_path)
    content = made.evaluations[0].manifest.content
    made.store.set_aside(made.evaluations[0].ref)
    with begin(made.store, made.evaluations[0].ref) as out:
        told = {"problems": {"name": "gsm8k", "test_path": "/home/someone/questions.jsonl"}}
        record = {"benchmarks": told, "started": 1.0, "seconds": 2.0}
        out.commit(config=content.identity, parents=content.parents, metrics=content.metrics, record=record)
    found = {
        result.artifact: result.benchmark for result in Provenance(made.store).results_of(made.trained.ref.fingerprint)
    }
    assert found == {
        str(made.evaluations[0].ref): "gsm8k from a local file",
        str(made.evaluations[1].ref): "gsm8k",
    }


def test_benchmarks_that_only_records_of_runs_tell_are_the_first_runs_and_records_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Exportable(tmp_path, has_journal=False)
    for evaluation in made.evaluations:
        content = evaluation.manifest.content
        made.store.set_aside(evaluation.ref)
        with begin(made.store, evaluation.ref) as out:
            record = {"started": 1.0, "seconds": 2.0}
            out.commit(config=content.identity, parents=content.parents, metrics=content.metrics, record=record)
    report = made.report({f"evaluation/{number}": one.ref for number, one in enumerate(made.evaluations)})
    for started, name in enumerate(["math", "gsm8k"]):
        config = TokenSkipConfig.model_validate({"model": "latent-mini", "benchmark": {"name": name}})
        journal = Journal(str(started) * 32, "tokenskip-math", "", config.model_dump(mode="json"), float(started))
        RunRecord(made.store, journal, "run").end(None, report)
    readings = []

    def counted(store: ArtifactStore) -> list[PastRun]:
        readings.append(store)
        return past_runs(store)

    monkeypatch.setattr(provenance, "past_runs", counted)
    results = Provenance(made.store).results_of(made.trained.ref.fingerprint)
    assert [result.benchmark for result in results] == ["math", "math"] and len(readings) == 1


def test_lineage_names_what_the_store_does_not_have_any_more(tmp_path: Path) -> None:
    made = Exportable(tmp_path)
    made.store.set_aside(made.collected.ref)
    found = {origin.fingerprint: origin.made for origin in Provenance(made.store).lineage(made.trained)}
    assert found[made.collected.ref.fingerprint] == "not in the store now"
    assert found[made.prepared.ref.fingerprint] == "2023-11-14"


def test_adapter_of_a_model_of_the_store_says_how_to_get_that(tmp_path: Path) -> None:
    base = ArtifactRef("build_dual", "9" * 64)
    made = Exportable(tmp_path, base=base)
    with begin(made.store, base) as out:
        out.commit(parents={"model": Reference(None, "77" * 32)})
    config = TokenSkipConfig.model_validate({"model": "owner/base"}).model_dump(mode="json")
    stages = [JournalEntry(base.stage, base.fingerprint, False, "dual")]
    Journal("f" * 32, "tokenskip-math", "", config, 1.0, stages=stages).write(made.store)
    export_model(made.trained, tmp_path / "out", Provenance(made.store), adapter=True)
    text = (tmp_path / "out" / CARD).read_text(encoding="utf-8")
    assert f"`latent export {base} BASE`" in text and "base_model: owner/base" in text
    settings = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] is None  # not owner/base, which is not what it was trained on


def test_card_of_a_compressor_says_how_it_is_used_and_asks_it_nothing(tmp_path: Path) -> None:
    made = Exportable(tmp_path)
    with begin(made.store, ArtifactRef("train_compressor", "4" * 64)) as out:
        with out.directory("model") as folder:
            for path in open_model("latent-compressor").directory.iterdir():
                shutil.copyfile(path, folder / path.name)
        compressor = out.commit(record={"started": 1.0, "seconds": 2.0})
    export_model(compressor, tmp_path / "out", Provenance(made.store))
    text = (tmp_path / "out" / CARD).read_text(encoding="utf-8")
    assert "pipeline_tag: token-classification" in text and "latent compress FILE --model DIR" in text
    assert "## Results" not in text and "complete(" not in text
