"""A worker loads a tokenizer and a compressor once for all shards, and frees its device for training."""

from __future__ import annotations

import json
import weakref
from pathlib import Path

import pytest
import torch

from latent_core.compress.compressor import ScoringOptions
from latent_core.config.sampling import SamplingConfig, VllmConfig
from latent_core.errors import InputError
from latent_core.models.source import open_model
from latent_core.store import ArtifactRef, ArtifactStore
from tasks import quality
from tasks.inputs import ModelInput, Opener
from tasks.stage import Workplace
from tasks.workers import engines, warm
from tasks.workers.engines import Served, served


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


def _adapter(directory: Path, **extra: object) -> ModelInput:
    """A model that is an adapter of latent-mini; its weights are no matter here."""
    directory.mkdir()
    config = {"base_model_name_or_path": "latent-mini", "r": 4, **extra}
    (directory / "adapter_config.json").write_text(json.dumps(config))
    (directory / "adapter_model.safetensors").write_bytes(b"weights")
    return ModelInput.find(str(directory))


def test_vllm_gets_an_adapter_beside_its_base_and_nothing_is_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latent_core.models.adapter.merge_adapter", lambda *_: pytest.fail("merged"))
    model = _adapter(tmp_path / "adapter")
    assert served(Opener(ArtifactStore(tmp_path / "store")), model, SamplingConfig(engine="vllm")) == Served(
        open_model("latent-mini").directory, tmp_path / "adapter"
    )


@pytest.mark.parametrize(
    ("engine", "extra"),
    [
        ("transformers", {}),
        ("vllm", {"trainable_token_indices": {"embed_tokens": [5]}}),
        ("vllm", {"use_dora": True}),
    ],
)
def test_adapter_is_merged_for_other_engines_and_where_vllm_cannot_serve_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, extra: dict[str, object]
) -> None:
    monkeypatch.setenv("LATENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        "latent_core.models.adapter.merge_adapter", lambda base, adapter, target: target.mkdir(parents=True)
    )
    sampling = SamplingConfig.model_validate({"engine": engine})
    model = served(Opener(ArtifactStore(tmp_path / "store")), _adapter(tmp_path / "adapter", **extra), sampling)
    assert model.adapter_dir is None and model.model_dir.parent == tmp_path / "cache" / "merged_adapters"


def test_adapter_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    model = _adapter(tmp_path / "adapter")
    (tmp_path / "adapter" / "adapter_model.safetensors").write_bytes(b"other weights")
    with pytest.raises(InputError, match="changed on disk"):
        served(Opener(ArtifactStore(tmp_path / "store")), model, SamplingConfig(engine="vllm"))


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine that says it has a GPU; the list notes when PyTorch's reserve is given back."""
    released: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: released.append("empty_cache"))
    return released


@pytest.mark.parametrize(("kind", "closed"), [("vllm", True), ("transformers", False)])
def test_compressor_is_loaded_on_a_gpu_only_after_vllm_has_left_it(
    monkeypatch: pytest.MonkeyPatch, on_gpu: list[str], kind: str, closed: bool
) -> None:
    engine = Held()
    monkeypatch.setattr(engines, "_load", lambda *_: engine)
    engines.warm_engine(Served(Path("model")), "a" * 64, SamplingConfig.model_validate({"engine": kind}))
    warm.warm_compressor("random", "d" * 64, ScoringOptions())
    assert engine.closed is closed
    warm.cool_down()


def test_vllm_stays_warm_beside_a_compressor_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Held()
    monkeypatch.setattr(engines, "_load", lambda *_: engine)
    engines.warm_engine(Served(Path("model")), "a" * 64, SamplingConfig(engine="vllm"))
    warm.warm_compressor("random", "e" * 64, ScoringOptions())
    assert not engine.closed
    warm.cool_down()


def test_cooling_down_gives_a_gpus_memory_back_even_what_only_a_cycle_holds(on_gpu: list[str]) -> None:
    holder = Held()
    holder.myself = holder  # type: ignore[attr-defined]
    alive = weakref.ref(holder)
    del holder
    warm.cool_down()
    assert alive() is None
    assert on_gpu


def test_vllm_leaves_a_scorer_its_share_of_a_gpu_unless_told_how_much(on_gpu: list[str]) -> None:
    share = engines.beside_scorer(SamplingConfig(engine="vllm")).vllm.gpu_memory_utilization
    assert share is not None and share <= 0.5
    told = SamplingConfig(engine="vllm", vllm=VllmConfig(gpu_memory_utilization=0.7))
    assert engines.beside_scorer(told) == told
    assert engines.beside_scorer(SamplingConfig()) == SamplingConfig()


def test_quality_is_scored_only_after_vllm_has_left_the_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_gpu: list[str]
) -> None:
    engine = Held()
    monkeypatch.setattr(engines, "_load", lambda *_: engine)
    engines.warm_engine(Served(Path("model")), "a" * 64, SamplingConfig(engine="vllm"))

    def loaded(*_: object) -> None:
        raise InputError("the scorer is loaded" if engine.closed else "vllm still holds the GPU")

    monkeypatch.setattr(quality, "QualityScorer", loaded)
    ref = ArtifactRef("samples", "0" * 64)
    inputs = quality.QualityInputs(ModelInput.find("latent-mini"), ref, ref)
    workplace = Workplace(ArtifactStore(str(tmp_path)), tmp_path, lambda *_: None)
    with pytest.raises(InputError, match="the scorer is loaded"):
        quality.score_quality.body(None, inputs, quality.ScoreQuality(), workplace)  # type: ignore[arg-type]
    warm.cool_down()
