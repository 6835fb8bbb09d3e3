"""`latent export`: what the folder and its card hold, and what is refused before anything is written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import huggingface_hub
import pytest
from huggingface_hub.repocard import metadata_load
from typer.testing import CliRunner

from flows.cli.main import app
from latent_core.config.tokenskip import TokenSkipConfig
from latent_core.errors import InputError
from latent_core.models.source import open_model
from latent_core.store import ArtifactRef, Reference, begin
from tasks.run.history import RunRecord
from tasks.tracking.journal import Journal
from tests.support.exportable import EXAMPLE, Exportable


class Hub:
    """What is pushed."""

    pushed: ClassVar[list[dict[str, Any]]] = []

    def create_repo(self, repo_id: str, **options: Any) -> str:
        return f"hub:{repo_id} {options['repo_type']}"

    def upload_folder(self, **options: Any) -> None:
        self.pushed.append(options | {"files": _names(Path(options["folder_path"]))})


@pytest.fixture(autouse=True)
def nothing_pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "pushed", [])


@pytest.fixture
def made(tmp_path: Path) -> Exportable:
    return Exportable(tmp_path)


def _export(made: Exportable, *words: object) -> str:
    result = CliRunner().invoke(app, ["export", *map(str, words), "--store", made.store.root])
    if result.exception is not None:
        raise result.exception
    return result.output


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_export_of_a_model_copies_its_files_as_they_are_and_writes_a_card(made: Exportable, tmp_path: Path) -> None:
    said = _export(made, str(made.trained.ref), tmp_path / "out")
    stored = made.trained.directory("weights/model")
    assert _names(tmp_path / "out") == _names(stored)
    for name in _names(stored):
        assert ((tmp_path / "out" / name).read_bytes() == (stored / name).read_bytes()) == (name != "README.md")
    assert "7 files" in said and str(tmp_path / "out") in said


def test_card_of_a_model_has_results_with_intervals_provenance_and_licence_but_no_path(
    made: Exportable, tmp_path: Path
) -> None:
    _export(made, made.trained.ref, tmp_path / "my-model")
    text = (tmp_path / "my-model" / "README.md").read_text(encoding="utf-8")
    assert "| ratio 0.5, greedy | gsm8k | 20 | 75.0 % (53.1 to 88.8) | 4.0 | 19.5 |" in text
    assert "| ratio 1, greedy | gsm8k | 20 | 100.0 % (83.9 to 100.0) | 4.0 | 19.5 |" in text
    for ref in (made.trained.ref, made.prepared.ref, made.collected.ref):
        assert f"| {ref.stage} | 1 | `{ref.fingerprint}` | 2023-11-14 | 0123456789ab |" in text
    assert f"| input: gsm8k |  | `{'cd' * 32}` |" in text and "collect_shard" not in text
    assert "From latent-mini" in text and "holds: `apache-2.0`" in text and "called dual-seed1" in text
    assert (
        "greedy, as it was evaluated." in text
        and "max_new_tokens=77" in text
        and "Asked for a ratio (0.7, 0.5)" in text
    )
    assert str(tmp_path) not in text
    metadata = metadata_load(tmp_path / "my-model" / "README.md")
    assert metadata is not None
    assert {name: metadata[name] for name in ("license", "library_name", "datasets")} == {
        "license": "apache-2.0",
        "library_name": "transformers",
        "datasets": ["openai/gsm8k"],
    }
    (results,) = metadata["model-index"][0]["results"]
    assert metadata["model-index"][0]["name"] == "my-model" and len(results["metrics"]) == 2
    assert {metric["value"] for metric in results["metrics"]} == {0.75, 1.0}


def test_card_of_a_model_without_evaluations_says_so(made: Exportable, tmp_path: Path) -> None:
    for evaluation in made.evaluations:
        made.store.set_aside(evaluation.ref)
    _export(made, made.trained.ref, tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "holds no evaluation of it" in text and "model-index" not in text and "as it was evaluated" not in text


def test_export_of_an_adapter_names_its_base_on_the_hub(tmp_path: Path) -> None:
    made = Exportable(tmp_path, "owner/base@abc123", Reference(None, "77" * 32))
    _export(made, made.trained.ref, tmp_path / "out", "--adapter", "--license", "mit")
    assert "model.safetensors" not in _names(tmp_path / "out") and "tokenizer.json" in _names(tmp_path / "out")
    settings = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert settings == {"r": 4, "base_model_name_or_path": "owner/base", "revision": "abc123"}
    metadata: dict[str, Any] = metadata_load(tmp_path / "out" / "README.md") or {}
    wanted = {"base_model": "owner/base", "license": "mit", "library_name": "peft"}
    assert {name: metadata[name] for name in wanted} == wanted
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert 'BASE = "owner/base"' in text and "revision `abc123`" in text and "it is not here" in text


def test_export_of_an_adapter_of_a_packaged_base_says_how_to_get_it(made: Exportable, tmp_path: Path) -> None:
    _export(made, made.trained.ref, tmp_path / "out", "--adapter")
    assert "`latent export latent-mini BASE`" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())["base_model_name_or_path"] is None


def test_export_of_a_packaged_model_is_a_copy_and_needs_no_store(tmp_path: Path) -> None:
    words = ["export", "latent-mini", str(tmp_path / "mini"), "--store", str(tmp_path / "none")]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert "# latent-mini" in (tmp_path / "mini" / "README.md").read_text(encoding="utf-8")


def test_export_of_a_directory_pushes_neither_its_hidden_files_nor_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    model = tmp_path / "customer" / "my-model"
    shutil.copytree(open_model("latent-mini").directory, model)
    (model / ".env").write_text("HF_TOKEN=secret")
    words = ["export", str(model), str(tmp_path / "out"), "--push", "me/it"]
    assert CliRunner().invoke(app, words).exit_code == 0
    (pushed,) = Hub.pushed
    assert pushed["commit_message"] == "latent export my-model"
    assert "config.json" in pushed["files"] and ".env" not in pushed["files"]


@pytest.mark.parametrize("kind", ["jsonl", "datasets"])
def test_export_of_tables_loads_as_a_data_set_with_its_splits(
    made: Exportable, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets import load_dataset

    _export(made, made.prepared.ref, tmp_path / "examples", "--format", kind)
    found = load_dataset(str(tmp_path / "examples"), cache_dir=str(tmp_path / "cache"))
    assert {name: split.num_rows for name, split in found.items()} == {"train": 5, "validation": 2}
    for name in ("train", "validation"):
        assert found[name].to_list() == list(made.prepared.rows_of(f"{name}.parquet"))
    text = (tmp_path / "examples" / "README.md").read_text(encoding="utf-8")
    assert "kept 7, wrong 2" in text and made.collected.ref.fingerprint in text and str(tmp_path) not in text


def test_export_as_jsonl_tells_how_many_numbers_json_does_not_have(made: Exportable, tmp_path: Path) -> None:
    with begin(made.store, ArtifactRef("prepare", "b" * 64)) as out:
        with out.table("train.parquet", EXAMPLE) as table:
            table.extend({"question_id": "q", "ratio": ratio, "input_ids": []} for ratio in (float("nan"), 0.5))
        out.commit(record={"started": 1.0, "seconds": 2.0})
    told = "1 numbers are not finite, and null here."
    for kind, is_told in (("jsonl", True), ("datasets", False)):
        _export(made, "prepare/bbbb", tmp_path / kind, "--format", kind)
        assert (told in (tmp_path / kind / "README.md").read_text(encoding="utf-8")) == is_told


def test_export_of_a_sharded_table_holds_the_rows_of_all_shards_in_order(made: Exportable, tmp_path: Path) -> None:
    _export(made, made.collected.ref, tmp_path / "chains", "--format", "jsonl", "--license", "cc-by-4.0")
    lines = (tmp_path / "chains" / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == list(made.collected.rows_of("samples.parquet")) and len(lines) == 6
    metadata: dict[str, Any] = metadata_load(tmp_path / "chains" / "README.md") or {}
    assert metadata["license"] == "cc-by-4.0"
    assert metadata["configs"] == [
        {"config_name": "default", "data_files": [{"split": "train", "path": "samples.jsonl"}]}
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train/", "FULL"], "DIR: .* is not empty"),
        (["train/", "out", "--push", "me/model"], "--push: .*HF_HUB_OFFLINE=0"),
        (["train/", "out", "--public"], "--public: .*--push"),
        (["train/", "out", "--format", "jsonl"], "--format: is for data sets"),
        (["prepare/", "out", "--format", "csv"], "--format: 'csv' is none of jsonl, datasets"),
        (["prepare/", "out", "--adapter"], "--adapter: is for trained models"),
        (["latent-mini", "out", "--adapter"], "--adapter: is for trained models"),
        (["latent-mini", "out", "--license", "mit"], "--license: latent-mini is copied as it is"),
        (["report/", "out"], "WHAT: report/.* neither a model nor a table"),
        (["models:/toy", "out"], "'models:/toy' is not of the form models:/NAME@ALIAS"),
        (["train/ffff", "out"], "no artifact matches 'train/ffff'"),
        (["first", "out"], "no run is 'first'"),
    ],
)
def test_export_that_cannot_be_right_is_refused_in_a_line_and_writes_nothing(
    made: Exportable, tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "FULL").mkdir()
    (tmp_path / "FULL" / "mine").touch()
    made.report({"train/dual": made.trained.ref})
    with pytest.raises(InputError, match=message) as told:
        _export(made, words[0], tmp_path / words[1], *words[2:])
    assert "\n" not in str(told.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["FULL", "store"] and _names(tmp_path / "FULL") == [
        "mine"
    ]


def test_export_of_a_model_without_an_adapter_refuses_the_option(made: Exportable, tmp_path: Path) -> None:
    with begin(made.store, ArtifactRef("train", "a" * 64)) as out:
        with out.directory("weights/model") as folder:
            (folder / "config.json").write_text("{}")
        out.commit()
    with pytest.raises(InputError, match="--adapter: train/aaaaaaaaaaaa holds no adapter"):
        _export(made, "train/aaaa", tmp_path / "out", "--adapter")


def test_export_of_a_run_is_its_model_and_of_several_names_them(made: Exportable, tmp_path: Path) -> None:
    _run(made, made.trained.ref, 1)
    _run(made, made.report({"train/dual": made.trained.ref}), 2)
    for word in ("last~1", "last"):
        assert _export(made, word, tmp_path / word).startswith(str(made.trained.ref))
    _run(made, made.report({"train/dual": made.trained.ref, "train/standard": made.prepared.ref}), 3)
    both = rf"trained 2 models, name one: {made.trained.ref} \(dual\); {made.prepared.ref} \(standard\)"
    with pytest.raises(InputError, match=both):
        _export(made, "last", tmp_path / "out")


def _run(made: Exportable, result: ArtifactRef, hour: int) -> None:
    config = TokenSkipConfig.model_validate({"store": made.store.root}).model_dump(mode="json")
    journal = Journal(f"{hour}" * 32, "tokenskip-math", "", config, 1_800_000_000.0 + hour)
    RunRecord(made.store, journal, "run").end(None, result)


@pytest.mark.parametrize(("stage", "kind"), [("trained", "model"), ("prepared", "dataset")])
def test_export_pushes_the_finished_folder_as_a_repository_of_its_kind(
    made: Exportable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, kind: str
) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    ref = getattr(made, stage).ref
    said = _export(made, ref, tmp_path / "out", "--push", "me/it")
    (seen,) = Hub.pushed
    assert f"hub:me/it {kind}" in said and seen["repo_type"] == kind
    assert "README.md" in seen["files"] and str(ref) in seen["commit_message"]
