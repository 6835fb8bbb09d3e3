"""The engine that a policy's rollouts are drawn with: the model in training itself, or vLLM with its weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from latent_core.config.policy_update import PolicyUpdateConfig
from latent_core.config.rollouts import RolloutEngineConfig
from latent_core.device_memory import release
from latent_core.generate.engine import Engine
from latent_core.generate.transformers_engine import TransformersEngine
from latent_core.generate.vllm_engine import VllmEngine, context_of
from latent_core.rl.policy.generating import generating
from latent_core.rl.policy.trained_weights import checked_weights, stored_weights
from latent_core.sft.weights import compute_type

_SHARE_BESIDE_TRAINER = 0.4  # of a GPU, for vLLM's weights and cache; it sleeps while the trainer computes


class PolicyEngine(Protocol):
    """Completes with the weights that a trainer has at that moment."""

    def serving(self, trainer: Any) -> AbstractContextManager[Engine]:
        """Inside the block the engine completes with the weights that the trainer has at its beginning."""
        ...

    def close(self) -> None:
        """Hold the trained model, and the engine's own memory, no longer."""
        ...


def policy_engine(
    config: PolicyUpdateConfig, rollout: RolloutEngineConfig, model_dir: Path, *, longest: int
) -> PolicyEngine:
    """The engine that `rollout` names. `longest` is the longest sequence in tokens; 0 where that is not known.

    Raises InputError where it is vLLM, which is not installed.
    """
    if rollout.engine == "vllm":
        return VllmPolicy(config, rollout, model_dir, longest=longest)
    return TransformersPolicy(model_dir)


class TransformersPolicy:
    """Generates with the model in training."""

    def __init__(self, model_dir: Path) -> None:
        self._model_dir = model_dir
        self._engine: TransformersEngine | None = None

    @contextmanager
    def serving(self, trainer: Any) -> Iterator[Engine]:
        model = trainer.accelerator.unwrap_model(trainer.model)
        if self._engine is None or self._engine.model is not model:
            self._engine = TransformersEngine.around(model, self._model_dir)
        with generating(model), trainer.accelerator.autocast():
            yield self._engine

    def close(self) -> None:
        self._engine = None


class VllmPolicy:
    """Hands the weights over to a vLLM engine in this process, which sleeps between rollouts where it can."""

    def __init__(
        self, config: PolicyUpdateConfig, rollout: RolloutEngineConfig, model_dir: Path, *, longest: int
    ) -> None:
        options = rollout.vllm
        if options.gpu_memory_utilization is None and _is_on_gpu():
            options = options.model_copy(update={"gpu_memory_utilization": _SHARE_BESIDE_TRAINER})
        self._stored = stored_weights(model_dir)
        reserve = min(longest, context_of(model_dir))
        self._engine = VllmEngine(model_dir, compute_type(config), options, reserve=reserve, sleeps=True)

    @contextmanager
    def serving(self, trainer: Any) -> Iterator[Engine]:
        model = trainer.accelerator.unwrap_model(trainer.model)
        if _is_on_gpu():
            release()  # vLLM counts what PyTorch keeps in reserve as taken
        self._engine.hand_over(lambda: checked_weights(model, self._stored))
        try:
            yield self._engine
        finally:
            self._engine.sleep()

    def close(self) -> None:
        self._engine.close()
        del self._engine  # it holds the trained model's weights


def _is_on_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())
