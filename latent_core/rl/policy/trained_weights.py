"""The weights of a model in training, as a checkpoint would have them: adapters merged, names of the plain model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from latent_core.errors import InputError

_BASE = ".base_layer."
_WRAPPED = ".token_adapter."  # PEFT's holder of rows that learn


def trained_weights(model: Any) -> Iterator[tuple[str, Any]]:
    """Name and tensor of every parameter, those of a LoRA, DoRA or rsLoRA adapter and rows that learn merged in.

    One layer at a time is merged, in a copy, so that the model's own weights stay as they are to the last bit: merging
    into them and subtracting again would move them a little every time. A tied head has no entry of its own.
    """
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    layers = {name: part for name, part in plain.named_modules() if isinstance(part, BaseTunerLayer)}
    for name, parameter in plain.named_parameters():
        owner, base, rest = name.rpartition(_BASE)
        if not base:
            if not _is_adapters(name, layers):
                yield name, parameter.detach()
            continue
        with torch.no_grad(), _merged(layers[owner]):
            yield f"{f'.{owner}.'.replace(_WRAPPED, '.').strip('.')}.{rest}", parameter.detach()


def stored_weights(model_dir: Path) -> frozenset[str]:
    """The names of the tensors of a checkpoint."""
    from safetensors import safe_open

    names: set[str] = set()
    for path in model_dir.glob("*.safetensors"):
        with safe_open(path, framework="pt") as tensors:
            names.update(tensors.keys())
    return frozenset(names)


def checked_weights(model: Any, stored: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """As `trained_weights`. Raises InputError for a weight that `stored`, the checkpoint, has under no such name.

    transformers fuses the weights of some models when it loads them, such as experts: vLLM, which reads names of
    checkpoints, would pass over those and go on with the weights of the start.
    """
    for name, value in trained_weights(model):
        if name not in stored:
            raise InputError(
                "grpo.rollout.engine or agent.rollout.engine: vllm cannot be given this model's weights: transformers "
                f"calls one {name}, which its checkpoint does not have; take transformers"
            )
        yield name, value


def _is_adapters(name: str, layers: dict[str, Any]) -> bool:
    """Whether a parameter lies in a layer that learns, outside of what that layer stands around."""
    parts = name.split(".")
    return any(".".join(parts[:end]) in layers for end in range(1, len(parts)))


@contextmanager
def _merged(layer: Any) -> Iterator[None]:
    """The layer's own weights, with its adapter, in place of those it stands around."""
    own = {name: parameter.data for name, parameter in layer.get_base_layer().named_parameters()}
    layer.merge(safe_merge=True)  # "safe": into a copy
    try:
        yield
    finally:
        layer.merged_adapters.clear()
        for name, parameter in layer.get_base_layer().named_parameters():
            parameter.data = own[name]
