"""The worker's warm engine: loading a model is paid once per worker and model, not once per shard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latent_core.config.tokenskip import SamplingConfig
from latent_core.generate.engine import Engine


@dataclass(frozen=True)
class _Warm:
    model: str
    dtype: str
    engine: Engine


_warm: _Warm | None = None


def warm_engine(model_dir: Path, fingerprint: str, sampling: SamplingConfig) -> Engine:
    """The engine of a model, loaded unless the call before used the same one."""
    global _warm
    if _warm is None or (_warm.model, _warm.dtype) != (fingerprint, sampling.dtype):
        from latent_core.generate.transformers_engine import TransformersEngine

        _warm = None  # free the old model before the new one is loaded
        _warm = _Warm(fingerprint, sampling.dtype, TransformersEngine(model_dir, sampling.dtype))
    return _warm.engine
