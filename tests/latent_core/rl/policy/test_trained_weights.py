"""Weights of a model in training are those that it is saved with, and reading them moves none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from latent_core.config.grpo import GrpoConfig
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.errors import InputError
from latent_core.rl.policy.trained_weights import checked_weights, stored_weights, trained_weights
from latent_core.sft.weights import adapter_config, learning_rows, load_model, save_trained


def in_training(model_dir: Path, **settings: Any) -> tuple[Any, GrpoConfig, dict[str, list[int]]]:
    """A model as it is in the middle of a training: everything that learns has moved."""
    from peft import get_peft_model

    config = GrpoConfig.model_validate(settings)
    vocabulary = DualVocabulary.find(model_dir)
    latents = range(vocabulary.visible_size, vocabulary.size) if vocabulary else range(0)
    model = load_model(model_dir, config)
    rows = learning_rows(config, latents, tied=bool(model.config.tie_word_embeddings))
    if (adapter := adapter_config(config, rows)) is not None:
        model = get_peft_model(model, adapter)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter += torch.randn_like(parameter) * (0.2 if "lora_" in name else 0.02)
    return model, config, rows


@pytest.mark.parametrize("kind", ["mini", "dual"])
@pytest.mark.parametrize(
    "settings", [{"method": "full"}, {}, {"lora_variant": "dora"}, {"lora_variant": "rslora"}], ids=str
)
def test_weights_are_those_of_the_merged_checkpoint_and_the_model_keeps_its_own_to_the_bit(
    kind: str, settings: dict[str, str], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model_dir: Path = request.getfixturevalue(f"{kind}_dir")
    model, config, rows = in_training(model_dir, **settings)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = {name: value.clone() for name, value in trained_weights(model)}
    again = {name: value.clone() for name, value in trained_weights(model)}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    save_trained(model, AutoTokenizer.from_pretrained(model_dir), config, model_dir, tmp_path, rows)
    saved = load_file(tmp_path / "model" / "model.safetensors")
    start = load_file(next(model_dir.glob("*.safetensors")))
    assert found.keys() == saved.keys() == again.keys()
    for name, value in saved.items():
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=1e-6)
        assert torch.equal(found[name], again[name])
    moved = {name for name in saved if not torch.equal(saved[name], start[name].float())}
    assert "model.layers.0.mlp.up_proj.weight" in moved
    assert ("model.embed_tokens.weight" in moved) == (kind == "dual" or "method" in settings)


def test_weight_that_the_checkpoint_calls_otherwise_is_refused(mini_dir: Path) -> None:
    model, _, _ = in_training(mini_dir)
    stored = stored_weights(mini_dir)
    assert {name for name, _ in checked_weights(model, stored)} == stored
    fused = stored - {"model.layers.4.mlp.up_proj.weight"}
    with pytest.raises(
        InputError,
        match=r"^grpo\.rollout\.engine or agent\.rollout\.engine: "
        r".*model\.layers\.4\.mlp\.up_proj\.weight.*transformers$",
    ):
        list(checked_weights(model, fused))
