"""The worker's warm engine: loading a model is paid once per worker and model, not once per shard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latent_core.config.tokenskip import OpenAiConfig, SamplingConfig, VllmConfig
from latent_core.generate.engine import Engine, Metered, Usage


@dataclass(frozen=True)
class _Key:
    model: str
    dtype: str
    kind: str
    options: VllmConfig | OpenAiConfig | None


@dataclass(frozen=True)
class _Warm:
    key: _Key
    engine: Engine


_warm: _Warm | None = None


def warm_engine(model_dir: Path, fingerprint: str, sampling: SamplingConfig) -> Engine:
    """The engine of a model, loaded unless the call before used the same one."""
    global _warm
    by_engine: dict[str, VllmConfig | OpenAiConfig] = {"vllm": sampling.vllm, "openai": sampling.openai}
    options = by_engine.get(sampling.engine)
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
    if sampling.engine == "openai":
        from latent_core.generate.openai_engine import OpenAiEngine

        return OpenAiEngine(model_dir, sampling.openai)
    from latent_core.generate.transformers_engine import TransformersEngine

    return TransformersEngine(model_dir, sampling.dtype)


def used(engine: Engine) -> Usage | None:
    """What a metered engine counted so far; None for one that costs nothing but this machine's time."""
    return engine.usage if isinstance(engine, Metered) else None


def usage_record(engine: Engine, before: Usage | None) -> dict[str, float]:
    """For a manifest's record: what a metered engine counted since `before`; empty for any other."""
    now = used(engine)
    if now is None or before is None:
        return {}
    return {
        "billed_prompt_tokens": now.prompt_tokens - before.prompt_tokens,
        "billed_completion_tokens": now.completion_tokens - before.completion_tokens,
        "cost": now.cost - before.cost,
    }
