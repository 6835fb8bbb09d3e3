"""A model whose forward does more to its logits than the head knows is refused, and not scored by half."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MptConfig,
    MptForCausalLM,
    RecurrentGemmaConfig,
    RecurrentGemmaForCausalLM,
)

from latent_core.errors import InputError
from latent_core.likelihood import Head, require_own_logits

SIZES: dict[str, Any] = {
    "vocab_size": 300, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 1, "initializer_range": 1.0,
}  # fmt: skip


def test_cap_under_another_name_is_refused() -> None:
    torch.manual_seed(0)
    config = RecurrentGemmaConfig(**SIZES | {"num_hidden_layers": 3}, lru_width=16, logits_soft_cap=0.1)
    with pytest.raises(InputError, match=r"model: RecurrentGemmaForCausalLM makes more of its logits"):
        require_own_logits(RecurrentGemmaForCausalLM(config))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_known_families_pass_and_stay_in_training(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    for model in (
        LlamaForCausalLM(LlamaConfig(**SIZES)),
        GraniteForCausalLM(GraniteConfig(**SIZES, logits_scaling=4.0)),
    ):
        require_own_logits(model.to(dtype).train())
        assert model.training


def test_factor_that_is_a_name_is_none() -> None:
    """Of MPT; transformers' forward does not read it."""
    model = MptForCausalLM(MptConfig(d_model=16, n_heads=2, n_layers=1, vocab_size=50, logit_scale="inv_sqrt_d_model"))
    assert Head.of(model).scale == 1.0
    require_own_logits(model)
