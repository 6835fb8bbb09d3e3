"""What vLLM learns about dual models at start-up: entry point `latent_dual` of the group `vllm.general_plugins`.

Registers the names `--tokenizer-mode dual` and `--reasoning-parser dual`, whose modules are loaded when they are
used, and lets dual models have structured outputs (see `latent_core.serving.grammar`). The constraint is named by
`--logits-processors` instead (see `latent_core.serving.constraint`).
"""

from __future__ import annotations

NAME = "dual"
CONSTRAINT = "latent_core.serving.constraint:DualConstraint"
"""What `--logits-processors` takes; here, so that a command is made without vLLM."""


def register() -> None:
    """Called by vLLM in each of its processes, possibly more than once."""
    from vllm.reasoning import ReasoningParserManager
    from vllm.renderers.registry import RENDERER_REGISTRY
    from vllm.tokenizers.registry import TokenizerRegistry

    from latent_core.serving import grammar

    if NAME not in TokenizerRegistry.tokenizers:
        TokenizerRegistry.register(NAME, "latent_core.serving.tokenizer", "DualTokenizer")
        RENDERER_REGISTRY.register(NAME, "vllm.renderers.hf", "HfRenderer")
    ReasoningParserManager.register_lazy_module(NAME, "latent_core.serving.reasoning_parser", "DualReasoningParser")
    grammar.install()
