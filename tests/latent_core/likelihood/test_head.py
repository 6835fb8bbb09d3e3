"""The head that a model projects with, bare or in PEFT's hands: same logits, and gradients where rows learn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Gemma2Config, Gemma2ForCausalLM, GraniteConfig, GraniteForCausalLM

from latent_core.errors import InputError
from latent_core.likelihood import Head, Support, token_logprobs
from latent_core.likelihood.hidden_states import hidden_states, hidden_states_through, let_through

MakeBase = Callable[..., Path]
IDS = torch.tensor([[5, 9, 200, 31, 7, 290, 12], [40, 41, 260, 3, 90, 1, 7]])


def _open(make_base: MakeBase, kind: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(make_base(kind), dtype=torch.float32)


def _lora(model: Any, **settings: Any) -> Any:
    torch.manual_seed(1)
    peft = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"], **settings))
    with torch.no_grad():  # rows that learnt something, and an adapter that is not zero
        for parameter in peft.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) / 10)
    return peft.eval()


def _same_as_full_logits(model: Any) -> None:
    """Values, and gradients of all that learns, against the model's own logits."""
    learns = [value for value in model.parameters() if value.requires_grad]
    head = Head.of(model)
    hidden = hidden_states(model, input_ids=IDS)
    found = token_logprobs(hidden[:, :-1], head, IDS[:, 1:], Support.plain(head.size)).values
    logs = model(IDS).logits[:, :-1].log_softmax(-1)
    expected = logs.gather(2, IDS[:, 1:, None])[:, :, 0]
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    pairs = zip(*(torch.autograd.grad(one.sum(), learns) for one in (found, expected)), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["qwen3", "llama"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"trainable_token_indices": {"embed_tokens": list(range(200, 300))}},
        {"trainable_token_indices": {"embed_tokens": [250, 251, 3, 4, 5, 90]}},  # three runs, out of order
        {"trainable_token_indices": {"embed_tokens": list(range(0, 280, 2))}},  # too many runs to be kept apart
        {"modules_to_save": ["lm_head"]},
    ],
    ids=["lora", "one run", "runs", "scattered", "whole head"],
)
def test_head_of_an_adapted_model_gives_its_probabilities_and_gradients(
    kind: str, settings: dict[str, Any], make_base: MakeBase
) -> None:
    if kind == "qwen3" and "modules_to_save" in settings:
        settings = settings | {"ensure_weight_tying": True}
    _same_as_full_logits(_lora(_open(make_base, kind), **settings))


@pytest.mark.parametrize("kind", ["qwen3", "llama"])
def test_head_of_a_bare_model_gives_its_probabilities_and_gradients(kind: str, make_base: MakeBase) -> None:
    _same_as_full_logits(_open(make_base, kind).eval())


def test_rows_that_learn_are_read_in_place_and_the_weight_is_not_copied(make_base: MakeBase) -> None:
    model = _lora(_open(make_base, "qwen3"), trainable_token_indices={"embed_tokens": list(range(200, 300))})
    parts = Head.of(model).parts
    weight = model.get_base_model().get_input_embeddings().token_adapter.get_base_layer().weight
    assert [len(part) for part in parts] == [200, 100, len(weight) - 300]
    assert parts[0].data_ptr() == weight.data_ptr()
    assert parts[1] is model.get_base_model().lm_head.token_adapter.trainable_tokens_delta["default"]


@pytest.mark.parametrize("first", [0, 100], ids=["from the first id on", "in the middle"])
def test_rows_in_float32_beside_a_weight_in_bfloat16_are_computed_with_as_the_model_does(
    first: int, make_base: MakeBase
) -> None:
    """PEFT holds rows that learn in float32, and writes them into the weight in the weight's type."""
    base = _open(make_base, "llama").to(torch.bfloat16)
    model = _lora(base, trainable_token_indices={"embed_tokens": [1], "lm_head": [*range(first, 200)]})
    head = Head.of(model)
    assert {part.dtype for part in head.parts} == {torch.float32, torch.bfloat16}
    whole = model.get_base_model().lm_head.token_adapter.get_merged_weights(["default"])
    hidden = torch.randn(2, 6, whole.shape[1], dtype=torch.bfloat16)
    support, ids = Support.plain(head.size), IDS[:, 1:]
    found, expected = (token_logprobs(hidden, one, ids, support).values for one in (head, Head((whole,))))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_disabled_adapter_leaves_the_rows_of_the_base(make_base: MakeBase) -> None:
    model = _lora(_open(make_base, "qwen3"), trainable_token_indices={"embed_tokens": [7, 8]})
    with model.disable_adapter():
        assert len(Head.of(model).parts) == 1
    assert len(Head.of(model).parts) == 3


def test_adapter_on_the_head_itself_raises(make_base: MakeBase) -> None:
    model = _open(make_base, "llama")
    peft = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["lm_head"]))
    with pytest.raises(InputError, match="output head has an adapter"):
        Head.of(peft)


def test_soft_cap_and_scale_of_a_family_are_the_models_own() -> None:
    sizes = {
        "vocab_size": 300, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
    }  # fmt: skip
    torch.manual_seed(0)
    capped = Gemma2ForCausalLM(Gemma2Config(**sizes, final_logit_softcapping=0.5, initializer_range=1.0))
    scaled = GraniteForCausalLM(GraniteConfig(**sizes, logits_scaling=4.0, initializer_range=1.0))
    assert Head.of(capped).soft_cap == 0.5 and Head.of(scaled).scale == 0.25
    for model in (capped, scaled):
        _same_as_full_logits(model.eval())


def test_model_let_through_ends_at_hidden_states_only_when_asked(make_base: MakeBase) -> None:
    model = _lora(_open(make_base, "qwen3"))
    logits, expected = model(IDS).logits, hidden_states(model, input_ids=IDS)
    let_through(model)
    assert torch.equal(hidden_states_through(model, input_ids=IDS), expected)
    assert torch.equal(model(IDS).logits, logits)
    assert model.generate(input_ids=IDS[:1], max_new_tokens=2, do_sample=False).shape[1] <= IDS.shape[1] + 2
