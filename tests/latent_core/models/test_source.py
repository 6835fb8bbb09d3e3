"""A model's directory is looked at before anything is computed with it: what is damaged is named at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from latent_core.errors import InputError
from latent_core.models.source import open_model


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LATENT_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(open_model("latent-mini").directory, tmp_path / "a model"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b'{"model_type": "qwen3"', r"config\.json is not valid JSON"),
        ("config.json", b"[]", r"config\.json is no JSON object"),
        ("model.safetensors", b"x", r"model\.safetensors is damaged or cut short"),
    ],
)
def test_damaged_model_is_refused_naming_the_file(directory: Path, name: str, content: bytes, message: str) -> None:
    assert open_model(str(directory)).directory == directory
    (directory / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_model(str(directory))


def test_weights_cut_in_the_middle_are_refused(directory: Path) -> None:
    weights = directory / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(InputError, match="cut short"):
        open_model(str(directory))


def test_model_is_found_though_the_cache_cannot_be_written(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = open_model(str(directory)).fingerprint
    monkeypatch.setenv("LATENT_CACHE", str(directory / "config.json" / "cache"))
    assert open_model(str(directory)).fingerprint == known


@pytest.mark.parametrize(
    "spec", ["train/677e2c79", "build_dual/677e2c7902a2", "grpo/677e", "models:/mine@champion", "models:/mine/2"]
)
def test_model_of_the_store_is_not_sought_on_the_hub(spec: str) -> None:
    message = rf"^labeller: '{spec}' names a model of the store .*`latent export {spec} DIR` and give labeller=DIR$"
    with pytest.raises(InputError, match=message):
        open_model(spec, "labeller")
