"""`latent artifacts show --hashed`: what a fingerprint is computed from, to compare two artifacts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from latent_core.store import ArtifactRef, ArtifactStore, begin

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
