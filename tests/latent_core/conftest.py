"""A tiny causal language model, and math prose to compress."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.math_texts import math_text


@pytest.fixture(scope="session")
def make_math_text() -> Callable[[int, int], str]:
    return math_text


@pytest.fixture(scope="session")
def causal_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal language model of random weights that reads bytes, with a context of 128 tokens."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("causal")
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(["the total is 12 + 30 = 42 apples"] * 3, vocab_size=300, show_progress=False)
    PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer).save_pretrained(folder)
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=bpe.get_vocab_size(),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=128,
        initializer_range=0.5,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
