"""Whether what a run will compute can be computed here: asked while stages are added, before the first is computed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from latent_core.config.rollouts import RolloutEngineConfig
from latent_core.config.runtime import Runner, RuntimeConfig
from latent_core.errors import InputError
from latent_core.generate.vllm_engine import NO_ENGINE
from latent_core.store import ArtifactRef
from tasks.run.protocol import Run


def require_rollout_engine(
    field: str, rollout: RolloutEngineConfig, runtime: RuntimeConfig, run: Run, trained: Iterable[ArtifactRef]
) -> None:
    """Raise InputError where a result of `trained` is missing whose rollouts need vLLM, and vLLM is missing too.

    `field` is the section's name, such as grpo.rollout. Workers of other runners may be other machines: they are not
    looked at.
    """
    if rollout.engine != "vllm" or runtime.runner is not Runner.PROCESSES or find_spec("vllm") is not None:
        return
    if any(run.store.get(ref.stage, ref.fingerprint) is None for ref in trained):
        raise InputError(f"{field}.{NO_ENGINE}")
