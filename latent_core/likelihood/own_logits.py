"""Whether a model's own forward is what `token_logprobs` takes it to be: its head on its last hidden states."""

from __future__ import annotations

from typing import Any

import torch

from latent_core.errors import InputError
from latent_core.likelihood.head import Head, causal_model
from latent_core.likelihood.hidden_states import hidden_states
from latent_core.likelihood.support import Support
from latent_core.likelihood.token_logprobs import token_logprobs

_TOKENS = 9


def require_own_logits(model: Any) -> None:
    """Raise InputError for a model that does more to its logits than `Head` knows, by a pass over a few tokens.

    Some families scale, cap or normalise in their forward, under settings that differ in name; without this their
    log-probabilities would be others than those that they are sampled with, and nothing would tell.
    """
    head = Head.of(model)
    ids = torch.linspace(0, head.size - 1, _TOKENS).long()[None].to(model.device)
    is_training = model.training
    model.eval()
    try:
        with torch.no_grad():  # not inference mode: what a module keeps of this pass may meet gradients later
            logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
            hidden = hidden_states(model, input_ids=ids, use_cache=False)[:, :-1]
            found = token_logprobs(hidden, head, ids[:, 1:], Support.plain(head.size)).values
            expected = logits.float().log_softmax(-1).gather(2, ids[:, 1:, None])[:, :, 0]
    finally:
        model.train(is_training)
    apart = float((found - expected).abs().max())
    # Logits in bfloat16 are rounded by the model and not here.
    if apart > 1e-3 + 4 * torch.finfo(logits.dtype).eps * float(logits.abs().max()):
        raise InputError(
            f"model: {type(causal_model(model)).__name__} makes more of its logits than is known here "
            f"(log-probabilities {apart:.2g} nats apart); choose a model of another family, or set train.support: full"
        )
