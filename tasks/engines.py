"""The worker's warm engine: loading a model is paid once per worker and model, not once per shard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latent_core.config.tokenskip import SamplingConfig, VllmConfig
from latent_core.generate.engine import Engine


@dataclass(frozen=True)
class _Key:
    model: str
    dtype: str
    kind: str
    options: VllmConfig | None


@dataclass(frozen=True)
class _Warm:
    key: _Key
    engine: Engine


_warm: _Warm | None = None


def warm_engine(model_dir: Path, fingerprint: str, sampling: SamplingConfig) -> Engine:
    """The engine of a model, loaded unless the call before used the same one."""
    global _warm
    options = sampling.vllm if sampling.engine == "vllm" else None
    key = _Key(fingerprint, sampling.dtype, sampling.engine, options)
    if _warm is None or _warm.key != key:
        if _warm is not None:
            _warm.engine.close()  # free the old model before the new one is loaded
        _warm = None
        _warm = _Warm(key, _load(model_dir, sampling))
    return _warm.engine


def _load(model_dir: Path, sampling: SamplingConfig) -> Engine:
    if sampling.engine == "vllm":
        from latent_core.generate.vllm_engine import VllmEngine

        return VllmEngine(model_dir, sampling.dtype, sampling.vllm)
    from latent_core.generate.transformers_engine import TransformersEngine

    return TransformersEngine(model_dir, sampling.dtype)
