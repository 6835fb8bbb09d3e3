"""Tiny base models on disk: a tied Qwen3, an untied Llama, with a byte-level tokenizer that knows ChatML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

CORPUS = [
    "Two and three make five, said the grey café owner.",
    "7 + 12 = 19, so x is 19.",
    "日本 reasons step by step",
] * 4
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MakeBase = Callable[..., Path]


def make_tokenizer(*, think: str = "plain") -> PreTrainedTokenizerFast:
    """`think`: plain (non-special pair, as in Qwen3), special, or none."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS, trainer)
    if think == "special":
        backend.add_special_tokens(["<think>", "</think>"])
    elif think == "plain":
        backend.add_tokens(["<think>", "</think>"])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|endoftext|>", padding_side="left"
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


@pytest.fixture
def make_base(tmp_path: Path) -> MakeBase:
    """Saves a random base model: `make_base("qwen3" | "llama", think=..., padding=rows, dtype=..., shard=bytes)`."""

    def make(
        kind: str = "qwen3",
        *,
        think: str = "plain",
        padding: int = 5,
        dtype: torch.dtype = torch.float32,
        shard: str = "5GB",
    ) -> Path:
        tokenizer = make_tokenizer(think=think)
        sizes = {
            "vocab_size": len(tokenizer) + padding,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": None,
        }
        torch.manual_seed(0)
        if kind == "qwen3":
            model = Qwen3ForCausalLM(Qwen3Config(**sizes, head_dim=8, tie_word_embeddings=True))
        else:
            model = LlamaForCausalLM(LlamaConfig(**sizes, tie_word_embeddings=False))
        directory = tmp_path / f"{kind}-{think}-{padding}"
        # A real model's logits differ by more than a fresh one's; wide rows make greedy choices definite.
        with torch.no_grad():
            for parameter in {model.get_input_embeddings().weight, model.get_output_embeddings().weight}:
                parameter.normal_(0.0, 0.6)
        model.to(dtype).save_pretrained(directory, max_shard_size=shard)
        tokenizer.save_pretrained(directory)
        return directory

    return make
