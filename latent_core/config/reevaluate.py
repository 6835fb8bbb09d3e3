"""Parameters of the scheduled re-evaluation, and of `latent eval`."""

from __future__ import annotations

from typing import Annotated

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, RUNTIME, StageConfig
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.chat import ChatConfig
from latent_core.config.runtime import RuntimeConfig, TrackingConfig
from latent_core.config.tokenskip import EvaluateConfig


class ReevaluateConfig(StageConfig):
    """Which model, on which problems, at which ratios. A model whose files did not change is a hit."""

    model: Annotated[str, RUNTIME] = "latent-mini"
    """latent-mini, smollm2, a directory (dual models and adapters are recognised), a hub id owner/name[@revision], a
    trained model of the store (train/FINGERPRINT, grpo/FINGERPRINT), or one of MLflow's (models:/NAME@ALIAS)."""
    chat: Annotated[ChatConfig, IDENTITY, OMITTED_AT_DEFAULT] = ChatConfig()
    """How the model's conversations are read: whether it thinks, and the day its chat template is told."""
    benchmark: Annotated[BenchmarkConfig, IDENTITY] = BenchmarkConfig()
    evaluate: Annotated[EvaluateConfig, IDENTITY] = EvaluateConfig()
    fail_on_regression: Annotated[bool, RUNTIME] = True
    """Fail when accuracy fell since the last accepted evaluation of this model, beyond noise (paired test)."""
    store: Annotated[str, RUNTIME] = ".latent/store"
    runtime: Annotated[RuntimeConfig, RUNTIME] = RuntimeConfig()
    tracking: Annotated[TrackingConfig, RUNTIME] = TrackingConfig()
