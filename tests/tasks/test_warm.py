"""A worker loads a tokenizer and a compressor once for all shards, and frees its device for training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from latent_core.compress.compressor import ScoringOptions
from latent_core.config.sampling import SamplingConfig
from latent_core.errors import InputError
from latent_core.models.source import open_model
from latent_core.store import ArtifactStore
from tasks import engines, warm
from tasks.engines import Served, served
from tasks.stage import Inputs, ModelInput


class Held:
    """An engine that says when it is closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


def test_tokenizer_is_loaded_again_only_for_another_content() -> None:
    directory = open_model("latent-mini").directory
    first = warm.warm_readable(directory, "a" * 64)
    assert warm.warm_readable(directory, "a" * 64) is first
    assert warm.warm_readable(directory, "b" * 64) is not first


def test_cooling_down_closes_the_engine_and_drops_the_compressor(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Held] = []
    monkeypatch.setattr(engines, "_load", lambda *_: loaded.append(Held()) or loaded[-1])
    compressor = warm.warm_compressor("random", "c" * 64, ScoringOptions())
    for _ in range(2):
        engines.warm_engine(Served(Path("model")), "a" * 64, SamplingConfig())
    assert len(loaded) == 1
    warm.cool_down()
    assert loaded[0].closed
    assert warm.warm_compressor("random", "c" * 64, ScoringOptions()) is not compressor
    engines.warm_engine(Served(Path("model")), "a" * 64, SamplingConfig())
    assert len(loaded) == 2
    warm.cool_down()


def _adapter(directory: Path, **extra: object) -> Inputs:
    """A call's inputs whose model is an adapter of latent-mini; its weights are no matter here."""
    directory.mkdir()
    config = {"base_model_name_or_path": "latent-mini", "r": 4, **extra}
    (directory / "adapter_config.json").write_text(json.dumps(config))
    (directory / "adapter_model.safetensors").write_bytes(b"weights")
    return Inputs(ArtifactStore(directory / "store"), {"model": ModelInput.find(str(directory))})


def test_vllm_gets_an_adapter_beside_its_base_and_nothing_is_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latent_core.models.adapter.merge_adapter", lambda *_: pytest.fail("merged"))
    inputs = _adapter(tmp_path / "adapter")
    assert served(inputs, "model", SamplingConfig(engine="vllm")) == Served(
        open_model("latent-mini").directory, tmp_path / "adapter"
    )


@pytest.mark.parametrize(
    ("engine", "extra"), [("transformers", {}), ("vllm", {"trainable_token_indices": {"embed_tokens": [5]}})]
)
def test_adapter_is_merged_for_other_engines_and_where_vllm_cannot_serve_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, extra: dict[str, object]
) -> None:
    monkeypatch.setenv("LATENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        "latent_core.models.adapter.merge_adapter", lambda base, adapter, target: target.mkdir(parents=True)
    )
    model = served(_adapter(tmp_path / "adapter", **extra), "model", SamplingConfig.model_validate({"engine": engine}))
    assert model.adapter_dir is None and model.model_dir.parent == tmp_path / "cache" / "merged_adapters"


def test_adapter_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    inputs = _adapter(tmp_path / "adapter")
    (tmp_path / "adapter" / "adapter_model.safetensors").write_bytes(b"other weights")
    with pytest.raises(InputError, match="changed on disk"):
        served(inputs, "model", SamplingConfig(engine="vllm"))
