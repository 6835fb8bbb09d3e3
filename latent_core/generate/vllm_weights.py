"""Other weights for a vLLM engine that runs: in memory, and without a trace of those before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Weights = Callable[[], Iterable[tuple[str, Any]]]
"""Gives name and tensor of every parameter, as the model's checkpoint names them."""


def load_weights(llm: Any, weights: Iterable[tuple[str, Any]]) -> None:
    """Replace the weights of `vllm.LLM`, which lives in this process and has no request under way.

    vLLM packs its weights for the processor when it loads them, and `load_weights` of its models does not pack them
    anew; its `reload_weights` does (vllm 0.32), but for a head that is tied to the embedding, which has no weights of
    its own in a checkpoint. On a CPU that head would go on with the packed weights of before.

    Raises RuntimeError where the cache of prompts cannot be emptied: it holds what the weights before made of them.
    """
    llm.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})
    llm.apply_model(_pack_head)
    if not llm.reset_prefix_cache():
        raise RuntimeError("vllm kept its prefix cache when it was given other weights")


def _pack_head(model: Any) -> None:
    head = getattr(model, "lm_head", None)
    if head is not None and hasattr(head, "quant_method"):
        head.quant_method.process_weights_after_loading(head)
