"""A LoRA adapter's directory opens as the merged model, under an identity of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from latent_core.config.ratio_form import RatioForm, RatioTokensConfig
from latent_core.dual import build_dual, verify_dual
from latent_core.errors import InputError
from latent_core.models.family import open_family
from latent_core.models.ratio_token_build import add_ratio_tokens
from latent_core.models.source import ADAPTER_CONFIG, open_model


@pytest.fixture
def dual(tmp_path: Path) -> Path:
    return build_dual(open_model("latent-mini").directory, tmp_path / "dual").directory


def _adapter(base: Path, directory: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base),
        LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear", init_lora_weights=False),
    )
    model.save_pretrained(directory)
    return directory


def test_adapter_opens_as_its_base_with_the_adapter_merged(
    dual: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENT_CACHE", str(tmp_path / "cache"))
    adapter = _adapter(dual, tmp_path / "adapter", seed=0)
    opened = open_model(str(adapter))
    ids = torch.tensor([[5, 6, 7]])
    base = AutoModelForCausalLM.from_pretrained(dual)
    merged = AutoModelForCausalLM.from_pretrained(opened.directory)
    with torch.no_grad():
        assert not torch.allclose(merged(ids).logits.float(), base(ids).logits.float(), atol=1e-2)
    assert verify_dual(opened.directory, trained=True).ok  # the dual vocabulary came along
    assert open_model(str(adapter)) == opened
    other = _adapter(dual, tmp_path / "other", seed=1)
    assert open_model(str(other)).fingerprint != opened.fingerprint


def test_merged_adapter_is_told_ratios_as_its_base_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENT_CACHE", str(tmp_path / "cache"))
    config = RatioTokensConfig(form=RatioForm.ECHO, ratios=(0.5,))
    tokens = add_ratio_tokens(open_model("latent-mini").directory, tmp_path / "told", config)
    opened = open_model(str(_adapter(tmp_path / "told", tmp_path / "adapter", seed=0)))
    assert open_family(opened.directory)[1].ratio_tokens == tokens


def test_adapter_without_a_base_is_refused(tmp_path: Path) -> None:
    (tmp_path / ADAPTER_CONFIG).write_text(json.dumps({"base_model_name_or_path": None}))
    with pytest.raises(InputError, match="names no base"):
        open_model(str(tmp_path))
