"""The worker's warm engine: loading a model is paid once per worker and model, not once per shard."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from latent_core.config.prompting import TextFormat
from latent_core.config.sampling import OpenAiConfig, SamplingConfig, VllmConfig
from latent_core.errors import InputError
from latent_core.generate.engine import Engine, Metered, Usage
from latent_core.generate.joined import JoinedPasses, SharedEngine
from tasks.inputs import Model, Opener

logger = logging.getLogger("latent")

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


_SHARE_BESIDE_SCORER = 0.5  # the other half: as many weights once more, and the logits of a pass
_warm: _Warm | None = None
_joined: ContextVar[tuple[JoinedPasses, int] | None] = ContextVar("joined", default=None)


@dataclass(frozen=True)
class Served:
    """What an engine loads: a whole model, or a base with a LoRA adapter beside it."""

    model_dir: Path
    adapter_dir: Path | None = None


def served(opener: Opener, model: Model, sampling: SamplingConfig) -> Served:
    """A model as the engine takes it: vLLM serves an adapter beside its base, where it can; the others merge it."""
    adapter = opener.adapter(model) if sampling.engine == "vllm" else None
    if adapter is not None:
        from latent_core.generate.vllm_engine import lora_rank

        try:
            lora_rank(adapter.directory)
        except InputError as error:
            logger.warning("the adapter is merged: %s", error)
        else:
            return Served(adapter.base.directory, adapter.directory)
    return Served(opener.model_dir(model))


def warm_engine(model: Served, fingerprint: str, sampling: SamplingConfig) -> Engine:
    """The engine of a model, loaded unless the call before used the same one; shared inside `joined`."""
    shared = _joined.get()
    if shared is None:
        return _opened(model, fingerprint, sampling)
    passes, number = shared
    return passes.engine(number, lambda: _opened(model, fingerprint, sampling))


@contextmanager
def joined(passes: JoinedPasses, number: int) -> Iterator[None]:
    """Inside, this thread evaluates condition `number` of joined passes: `warm_engine` returns the shared engine."""
    with passes.condition():
        token = _joined.set((passes, number))
        try:
            yield
        finally:
            _joined.reset(token)


def _opened(model: Served, fingerprint: str, sampling: SamplingConfig) -> Engine:
    global _warm
    by_engine: dict[str, VllmConfig | OpenAiConfig] = {"vllm": sampling.vllm, "openai": sampling.openai}
    options = by_engine.get(sampling.engine)
    key = _Key(fingerprint, sampling.dtype, sampling.engine, options)
    if _warm is None or _warm.key != key:
        _close_warm()  # free the old model before the new one is loaded
        _warm = _Warm(key, _load(model, sampling))
    return _warm.engine


def _close_warm() -> None:
    global _warm
    if _warm is not None:
        _warm.engine.close()
    _warm = None


def close_engine() -> None:
    """Free the memory of the warm engine and scorer; the next call loads a model again."""
    global _scorer
    _close_warm()
    _scorer = None


def make_room() -> None:
    """Close a warm engine that has reserved most of a GPU, as vLLM does, before another model is loaded there."""
    if _warm is not None and _warm.key.kind == "vllm" and _is_on_gpu():
        _close_warm()


def beside_scorer(sampling: SamplingConfig) -> SamplingConfig:
    """Settings that leave a scorer's own copy of the model its share of a GPU: vLLM reserves 0.92 unless told less."""
    if sampling.engine != "vllm" or sampling.vllm.gpu_memory_utilization is not None or not _is_on_gpu():
        return sampling
    options = sampling.vllm.model_copy(update={"gpu_memory_utilization": _SHARE_BESIDE_SCORER})
    return sampling.model_copy(update={"vllm": options})


def _is_on_gpu() -> bool:
    import torch  # only where vLLM is in play: scoring words by a baseline needs no torch

    return torch.cuda.is_available()


def _load(model: Served, sampling: SamplingConfig) -> Engine:
    if sampling.engine == "vllm":
        from latent_core.generate.vllm_engine import VllmEngine

        return VllmEngine(model.model_dir, sampling.dtype, sampling.vllm, adapter_dir=model.adapter_dir)
    if sampling.engine == "openai":
        from latent_core.generate.openai_engine import OpenAiEngine

        return OpenAiEngine(model.model_dir, sampling.openai)
    from latent_core.generate.transformers_engine import TransformersEngine

    return TransformersEngine(model.model_dir, sampling.dtype)


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


def waited_seconds(engine: Engine) -> float:
    """How long this condition waited for the others that share the engine; 0 for an engine of its own."""
    return engine.waited_seconds if isinstance(engine, SharedEngine) else 0.0


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
