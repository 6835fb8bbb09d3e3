"""Last hidden states of a causal language model, without the logits that its forward would compute from them."""

from __future__ import annotations

import functools
import types
from typing import Any

import torch

from latent_core.likelihood.head import causal_model

_ONLY_HIDDEN = "only_hidden_states"


def hidden_states(model: Any, **inputs: Any) -> torch.Tensor:
    """The last hidden states, (rows, tokens, width), for the inputs of the model's own forward.

    A bare model, or one in PEFT's hands: data parallelism meets gradients in its own forward, see `let_through`.
    """
    states: torch.Tensor = causal_model(model).base_model(**inputs).last_hidden_state
    return states


def let_through(model: Any) -> None:
    """Make the model's forward able to end at its hidden states, so that wrappers around it (DDP, autocast) still run.

    `hidden_states_through` asks for it; any other call is as before.
    """
    causal = causal_model(model)
    original = causal.forward

    @functools.wraps(type(causal).forward)  # `generate` looks at the signature
    def forward(self: Any, *args: Any, **options: Any) -> Any:
        if not options.pop(_ONLY_HIDDEN, False):
            return original(*args, **options)
        options.pop("labels", None)  # PEFT passes it on as None
        return self.base_model(*args, **options)

    causal.forward = types.MethodType(forward, causal)


def hidden_states_through(model: Any, **inputs: Any) -> torch.Tensor:
    """As `hidden_states`, through the forward of whatever is wrapped around a model that was `let_through`."""
    states: torch.Tensor = model(**inputs, **{_ONLY_HIDDEN: True}).last_hidden_state
    return states
