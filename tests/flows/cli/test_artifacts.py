"""`latent artifacts` and `latent compare`: what a fingerprint is computed from, what each artifact was made for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from latent_core.store import ArtifactRef, ArtifactStore, begin
from tests.support.lab import Lab, two_runs

GOLDENS = Path(__file__).parents[2] / "latent_core" / "store" / "goldens"


def _store_with(root: Path, golden: str) -> tuple[ArtifactStore, ArtifactRef]:
    """A store with an evaluation as some release wrote its manifest, and with the training that it names."""
    store, raw = ArtifactStore(root), (GOLDENS / golden).read_bytes()
    manifest = json.loads(raw)
    content = manifest["content"]
    evaluated = ArtifactRef(content["stage"], content["fingerprint"])
    with store.open_for_writing(f"{evaluated.key}/{manifest['record']['attempt']}/words.txt") as file:
        file.write("zwölf\n".encode())
    store.replace(f"{evaluated.key}/manifest.json", raw)
    parent = content["parents"]["model"]
    trained = ArtifactRef("train", parent if isinstance(parent, str) else parent["fingerprint"])
    with begin(store, trained) as out:
        out.commit(stage_version=2)
    return store, evaluated


@pytest.mark.parametrize("golden", ["format_1.json", "format_2.json"])
def test_show_hashed_prints_only_what_was_hashed_the_same_for_each_format(tmp_path: Path, golden: str) -> None:
    store, evaluated = _store_with(tmp_path, golden)
    result = CliRunner().invoke(app, ["artifacts", "show", str(evaluated), "--hashed", "--store", store.root])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == {
        "stage": "evaluate",
        "stage_version": 3,
        "identity": {"questions": 2, "ratio": 0.5},
        "parents": {"model": "train/e373664847a2", "problems": "ab" * 32},
    }


def test_ls_says_when_how_large_how_accurate_and_for_what_report(tmp_path: Path) -> None:
    lab = two_runs(tmp_path)
    listed = CliRunner().invoke(app, ["artifacts", "ls", "--stage", "evaluate", "--store", lab.store.root]).output
    (line,) = [line for line in listed.splitlines() if "25.0 %" in line]
    assert "dual, ratio 0.5" in line and "kB" in line and line.split()[2].count("-") == 2
    found = json.loads(CliRunner().invoke(app, ["artifacts", "ls", "--json", "--store", lab.store.root]).output)
    by_stage = {item["stage"]: item for item in found}
    assert by_stage["train"]["made_for"] == ["train/dual"] and by_stage["report"]["title"] == "TokenSkip"
    assert by_stage["collect"]["made_for"] == ["train (samples)"]


def test_ls_of_a_stage_that_nothing_was_made_by_says_which_stages_there_are(tmp_path: Path) -> None:
    lab = two_runs(tmp_path)
    misspelt = ["artifacts", "ls", "--json", "--stage", "evalute", "--store", lab.store.root]
    found = CliRunner().invoke(app, misspelt)
    assert json.loads(found.stdout) == [] and found.exit_code == 0
    assert found.stderr.startswith("note: the store holds nothing of a stage evalute; its stages: collect, ")
    assert " evaluate," in found.stderr


def test_compare_names_what_it_compares_and_takes_whole_runs(tmp_path: Path) -> None:
    lab = two_runs(tmp_path)
    whole = CliRunner().invoke(app, ["compare", "last~1", "last", "--store", lab.store.root]).output
    (line,) = [line for line in whole.splitlines() if "dual, ratio 0.5" in line]
    assert all(word in line for word in ("75.0%", "25.0%", "-50.0 points", "fell"))
    assert "TokenSkip" in whole and "for all 2 conditions together" in whole
    refs = [str(item["fingerprint"]) for item in _evaluations(lab, "dual, ratio 0.5")]
    words = [f"evaluate/{ref}" for ref in refs]
    pair = CliRunner().invoke(app, ["compare", *words, "--store", lab.store.root]).output
    assert pair.splitlines()[0].startswith("before      dual, ratio 0.5, evaluate/")


def test_compare_of_a_run_with_an_evaluation_is_refused(tmp_path: Path) -> None:
    lab = two_runs(tmp_path)
    (evaluation, _) = _evaluations(lab, "dual, ratio 1")
    words = ["compare", "last", f"evaluate/{evaluation['fingerprint']}", "--store", lab.store.root]
    assert "name two of a kind" in str(CliRunner().invoke(app, words).exception)


def _evaluations(lab: Lab, name: str) -> list[dict[str, object]]:
    output = CliRunner().invoke(app, ["artifacts", "ls", "--json", "--store", lab.store.root]).output
    return [item for item in json.loads(output) if item["made_for"] == [name]]
