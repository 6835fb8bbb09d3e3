"""Saved adapters: equal training leaves equal files, wherever and whenever it ran."""

from __future__ import annotations

import json
from pathlib import Path

from latent_core.sft.adapter import settle_adapter


def _saved(directory: Path, base: str, modules: list[str]) -> dict[str, bytes]:
    directory.mkdir()
    settings = {"target_modules": modules, "base_model_name_or_path": base, "r": 8}
    (directory / "adapter_config.json").write_text(json.dumps(settings))
    (directory / "README.md").write_text(f"base_model: {base}")
    settle_adapter(directory)
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_adapters_of_equal_training_elsewhere_are_equal_byte_for_byte(tmp_path: Path) -> None:
    here = _saved(tmp_path / "here", "/here/model", ["v_proj", "q_proj"])
    there = _saved(tmp_path / "there", "/there/model", ["q_proj", "v_proj"])
    assert here == there and json.loads(here["adapter_config.json"])["target_modules"] == ["q_proj", "v_proj"]


def test_adapter_without_a_list_of_modules_is_left_as_it_is(tmp_path: Path) -> None:
    directory = tmp_path / "adapter"
    directory.mkdir()
    (directory / "adapter_config.json").write_text(json.dumps({"target_modules": "all-linear", "r": 8}))
    settle_adapter(directory)
    assert json.loads((directory / "adapter_config.json").read_text())["target_modules"] == "all-linear"
