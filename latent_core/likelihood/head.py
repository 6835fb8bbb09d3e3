"""A model's output head as the rows that project hidden states to logits, those that PEFT trains among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from latent_core.errors import InputError

_MOST_RUNS = 64  # of rows that learn; more are written into a copy of the weight, as PEFT does at every pass


class Head(NamedTuple):
    """Rows of the head in parts that follow each other, from id 0 on; each gets its own gradient.

    A logit is `soft_cap * tanh(x / soft_cap)` of `x = scale * (row . hidden + bias)`; `soft_cap` None leaves `x`.
    """

    parts: tuple[torch.Tensor, ...]
    """Each (rows, hidden); together V + L rows."""
    bias: torch.Tensor | None = None
    """Shape (V + L,)."""
    scale: float = 1.0
    soft_cap: float | None = None

    @property
    def size(self) -> int:
        return sum(len(part) for part in self.parts)

    @property
    def starts(self) -> tuple[int, ...]:
        """The first id of each part."""
        return tuple(int(first) for first in np.cumsum([0, *(len(part) for part in self.parts[:-1])]))

    @classmethod
    def of(cls, model: Any) -> Head:
        """The head of a causal language model of transformers, bare or in PEFT's hands, tied to its embedding or not.

        Rows that learn (`trainable_token_indices`) stay tensors of their own, so that no copy of the weight is made
        while they lie in a few runs; a head in `modules_to_save` is that copy. Raises `InputError` for an adapter on
        the head itself, whose weight alone is not what it computes.
        """
        causal = causal_model(model)
        module = causal.get_output_embeddings()
        if module is None:
            raise InputError("model: has no output head, so it gives no probabilities; choose a causal language model")
        if hasattr(module, "lora_A"):
            raise InputError("model: its output head has an adapter of its own; leave lm_head out of target_modules")
        scale, soft_cap = _scaling(causal.config.get_text_config())
        adapter = getattr(module, "token_adapter", None)
        if adapter is None:
            return cls((module.weight,), getattr(module, "bias", None), scale, soft_cap)
        return cls(_parts(adapter), getattr(adapter.get_base_layer(), "bias", None), scale, soft_cap)


def causal_model(model: Any) -> Any:
    """The model of transformers in what data parallelism and PEFT wrapped around it; the layers inside stay PEFT's."""
    model = model.module if hasattr(model, "module") and not hasattr(model, "get_output_embeddings") else model
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _parts(adapter: Any) -> tuple[torch.Tensor, ...]:
    """The rows under PEFT's `TrainableTokensLayer`: the base's, and in their places those that learn."""
    weight = adapter.get_base_layer().weight
    if adapter.disable_adapters or adapter.merged or not adapter.active_adapters:
        return (weight,)
    if len(adapter.active_adapters) > 1:
        return (adapter.get_merged_weights(adapter.active_adapters),)
    (name,) = adapter.active_adapters
    ids, rows = np.asarray(adapter.token_indices[name]), adapter.trainable_tokens_delta[name]
    lengths = np.diff([0, *(np.flatnonzero(np.diff(ids) != 1) + 1), len(ids)]).tolist()
    if len(lengths) > _MOST_RUNS:
        return (adapter.get_merged_weights([name]),)
    return _interleaved(weight, ids, rows.split(lengths) if len(lengths) > 1 else (rows,))


def _interleaved(weight: torch.Tensor, ids: Any, runs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    firsts = ids[np.cumsum([0, *(len(run) for run in runs[:-1])])].tolist()
    parts: list[torch.Tensor] = []
    place = 0
    for first, run in sorted(zip(firsts, runs, strict=True), key=lambda pair: pair[0]):
        if first > place:
            parts.append(weight[place:first])
        parts.append(run)
        place = first + len(run)
    if place < len(weight):
        parts.append(weight[place:])
    return tuple(parts)


def _scaling(config: Any) -> tuple[float, float | None]:
    """What a model's forward multiplies its logits by, and its soft cap (Gemma 2), by their names in transformers."""
    factors = [getattr(config, name, None) for name in ("logit_scale", "output_multiplier", "lm_head_multiplier")]
    scale = next((float(factor) for factor in factors if isinstance(factor, int | float)), 1.0)  # MPT's is a name
    divisor = getattr(config, "logits_scaling", None)
    if divisor is not None:
        scale = float(divisor) if config.model_type == "hyperclovax" else 1.0 / float(divisor)
    cap = getattr(config, "final_logit_softcapping", None)
    return scale, None if cap is None else float(cap)
