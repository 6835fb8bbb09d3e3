"""The worker's warm engine: loading a model is paid once per worker and model, not once per shard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from latent_core.config.tokenskip import OpenAiConfig, SamplingConfig, TextFormat, VllmConfig
from latent_core.generate.engine import Engine, Metered, Usage

if TYPE_CHECKING:
    from latent_core.reward.scorer import Scorer


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


_scorer: tuple[tuple[str, TextFormat], Scorer] | None = None


def warm_scorer(model_dir: Path, fingerprint: str, text_format: TextFormat) -> Scorer:
    """The log-prob scorer of a model, loaded unless the call before used the same one.

    Raises InputError for a model that the scorer cannot read.
    """
    from latent_core.reward.scorer import Scorer

    global _scorer
    key = (fingerprint, text_format)
    if _scorer is None or _scorer[0] != key:
        _scorer = None  # free the old model before the new one is loaded
        _scorer = (key, Scorer(model_dir, text_format=text_format))
    return _scorer[1]


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
