"""What checks import, loaded once: every check is a fork of a process that has it. Nothing here may start CUDA."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module

MODULES = (
    "torch", "transformers.models.qwen3.modeling_qwen3", "transformers.models.bert.modeling_bert",
    "transformers.trainer", "peft", "datasets", "trl.trainer.sft_trainer", "trl.trainer.grpo_trainer",
    "pyarrow.feather", "latent_core.dual", "latent_core.generate.transformers_engine", "latent_core.reward.scorer",
    "latent_core.sft.trainer", "latent_core.rl.training.grpo", "latent_core.rl.training.agent",
    "latent_core.compress.compressor", "latent_core.scoring", "tasks.workers.warm", "bench.phase_memory",
)  # fmt: skip

for _name in MODULES:
    with suppress(Exception):  # the check that needs it will say why it cannot be imported
        import_module(_name)
