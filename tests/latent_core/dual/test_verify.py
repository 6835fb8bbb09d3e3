"""What verification finds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from latent_core.dual import DualVocabulary, build_dual, verify_dual


def failed(directory: Path, **arguments: object) -> set[str]:
    report = verify_dual(directory, **{"new_tokens": 0, **arguments})  # type: ignore[arg-type]
    assert report.ok == (not any(line.startswith("FAIL") for line in report.lines()))
    return {check.name for check in report.checks if not check.passed}


def change(directory: Path, name: str, row: int, value: float) -> None:
    path = directory / "model.safetensors"
    stored = load_file(path)
    stored[name][row, 3] = value
    save_file(stored, path, metadata={"format": "pt"})


@pytest.fixture
def dual(make_base, tmp_path: Path) -> Path:
    return build_dual(make_base("llama", dtype=torch.float16), tmp_path / "dual").directory


def test_verify_fresh_build_passes_and_reports_a_generation(dual: Path) -> None:
    report = verify_dual(dual)
    assert report.ok
    assert any("0 violations in" in line for line in report.lines())
    assert report.lines()[-1].endswith("verified")


@pytest.mark.parametrize("table", ["model.embed_tokens.weight", "lm_head.weight"])
def test_verify_one_changed_latent_row_fails_unless_trained(dual: Path, table: str) -> None:
    change(dual, table, -1, 7.0)
    assert failed(dual) == {f"{table} mirrors"}
    assert failed(dual, trained=True) == set()
    dataclasses.replace(DualVocabulary.load(dual), latents_trained=True).save(dual)
    assert failed(dual) == set()


def test_verify_nan_fails_even_when_trained(dual: Path) -> None:
    change(dual, "lm_head.weight", 2, float("nan"))
    assert "lm_head.weight finite" in failed(dual, trained=True)


def test_verify_wrong_sizes_fail(dual: Path) -> None:
    config = json.loads((dual / "config.json").read_text())
    (dual / "config.json").write_text(json.dumps({**config, "vocab_size": 17}))
    assert failed(dual, new_tokens=8) == {"sizes"}


def test_verify_config_without_vocabulary_fails(dual: Path) -> None:
    config = json.loads((dual / "config.json").read_text())
    del config["dual_vocab"]
    (dual / "config.json").write_text(json.dumps(config))
    assert failed(dual) == {"config"}


def test_verify_special_think_token_fails(dual: Path) -> None:
    tokenizer = json.loads((dual / "tokenizer.json").read_text())
    for entry in tokenizer["added_tokens"]:
        entry["special"] = entry["special"] or entry["content"] == "</think>"
    (dual / "tokenizer.json").write_text(json.dumps(tokenizer))
    config = json.loads((dual / "tokenizer_config.json").read_text())
    config.pop("added_tokens_decoder", None)
    (dual / "tokenizer_config.json").write_text(json.dumps(config))
    assert failed(dual) == {"think tokens"}
