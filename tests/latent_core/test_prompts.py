"""Golden prompts and targets, character for character, for each convention of writing a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from latent_core.config.prompting import Prompting
from latent_core.models.family import ChatFamily, chat_family, load_tokenizer
from latent_core.models.source import open_model
from latent_core.models.tokens import decode, encode
from latent_core.prompts import (
    extra_instruction,
    ratio_suffix,
    render_answer,
    render_prompt,
    render_target,
)

ASK = r"Please reason step by step, and put your final answer within \boxed{}."
QUESTION = "What is 6 + 7?"


@dataclass(frozen=True)
class Convention:
    """A published chat convention: its template, its special tokens, and the golden prompt and target."""

    template: str
    special: tuple[str, ...]
    named: dict[str, str]
    prompt: str  # of QUESTION at ratio 0.5
    target: str  # of the reasoning "6 + 7 = 13" and the answer 13
    plain: tuple[str, ...] = ()


CHATML_TURNS = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
)
CHATML_PROMPT = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    f"<|im_start|>user\n{ASK}\n{QUESTION}<|im_end|>0.5<|im_end|><|im_end|>\n<|im_start|>assistant\n"
)
CHATML_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHATML_NAMED = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
THINK_TARGET = "6 + 7 = 13\n\n</think>\n\nThe final answer is: $\\boxed{13}$<|im_end|>"
CONVENTIONS = {
    "chatml, thinking opened by the template": Convention(
        CHATML_TURNS + "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}",
        CHATML_SPECIAL,
        CHATML_NAMED,
        CHATML_PROMPT + "<think>\n",
        THINK_TARGET,
        plain=("<think>", "</think>"),
    ),
    "chatml, thinking left to the model": Convention(
        # What stood between think marks is cut out of earlier turns.
        CHATML_TURNS.replace(
            "message['content']",
            "message['content'].split('</think>')[-1] if message['role'] == 'assistant' else message['content']",
        )
        + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        CHATML_SPECIAL,
        CHATML_NAMED,
        CHATML_PROMPT + "<think>\n",
        THINK_TARGET,
        plain=("<think>", "</think>"),
    ),
    "chatml, no thinking": Convention(
        CHATML_TURNS + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        CHATML_SPECIAL,
        CHATML_NAMED,
        CHATML_PROMPT,
        "6 + 7 = 13\n\nThe final answer is: $\\boxed{13}$<|im_end|>",
    ),
    "llama 3": Convention(
        "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
        "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are a helpful assistant.<|eot_id|>"
        f"<|start_header_id|>user<|end_header_id|>\n\n{ASK}\n{QUESTION}<|eot_id|>0.5<|eot_id|><|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "6 + 7 = 13\n\nThe final answer is: $\\boxed{13}$<|eot_id|>",
    ),
    "phi 3": Convention(
        "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}",
        ("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"},
        "<|system|>\nYou are a helpful assistant.<|end|>\n"
        f"<|user|>\n{ASK}\n{QUESTION}<|end|>0.5<|end|><|end|>\n<|assistant|>\n",
        "6 + 7 = 13\n\nThe final answer is: $\\boxed{13}$<|end|>",
    ),
    "gemma, no system role": Convention(
        "{{ bos_token }}{% for message in messages %}"
        "{% if message['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "<start_of_turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
        "{{ message['content'] | trim }}<end_of_turn>\n{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
        ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"),
        {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"},
        f"<bos><start_of_turn>user\nYou are a helpful assistant.\n\n{ASK}\n{QUESTION}"
        "<end_of_turn>0.5<end_of_turn><end_of_turn>\n<start_of_turn>model\n",
        "6 + 7 = 13\n\nThe final answer is: $\\boxed{13}$<end_of_turn>",
    ),
}
every_convention = pytest.mark.parametrize("name", CONVENTIONS)


def small_tokenizer(template: str, special: Sequence[str], plain: Sequence[str], named: dict[str, str]) -> Any:
    """A byte-level tokenizer without merges that puts the bos token, if any, before every text, as Llama's do."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    entries = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    core = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(entries)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    core.add_tokens([AddedToken(token, normalized=False, special=False) for token in plain])
    if "bos_token" in named:
        bos = named["bos_token"]
        core.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, core.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=core, chat_template=template, **named)


def opened(name: str) -> tuple[Any, ChatFamily]:
    convention = CONVENTIONS[name]
    tokenizer = small_tokenizer(convention.template, convention.special, convention.plain, convention.named)
    return tokenizer, chat_family(tokenizer)


@every_convention
def test_prompt_with_ratio_is_the_golden_text(name: str) -> None:
    tokenizer, family = opened(name)
    assert render_prompt(QUESTION, tokenizer, family, ratio=0.5) == CONVENTIONS[name].prompt


@every_convention
def test_prompt_at_ratio_one_differs_by_the_suffix_only(name: str) -> None:
    tokenizer, family = opened(name)
    suffix = f"{family.end_of_turn}0.5{family.end_of_turn}"
    golden = CONVENTIONS[name].prompt
    assert golden.count(suffix) == 1
    assert render_prompt(QUESTION, tokenizer, family) == golden.replace(suffix, "")


@every_convention
def test_target_is_the_golden_text_and_ends_at_the_end_of_turn(name: str) -> None:
    tokenizer, family = opened(name)
    target = render_target(" 6 + 7 = 13\n\n", "13", family)
    assert target == CONVENTIONS[name].target
    assert encode(target, tokenizer)[-1] == family.end_of_turn_id


@every_convention
def test_encode_prompt_round_trips_with_single_marks_and_one_bos(name: str) -> None:
    tokenizer, family = opened(name)
    text = render_prompt(QUESTION, tokenizer, family, ratio=0.5)
    ids = encode(text, tokenizer)
    assert tokenizer.decode(ids) == text
    turns = text.count(family.end_of_turn)
    assert ids.count(family.end_of_turn_id) == turns >= 3  # the user turn's own and the suffix's two
    if tokenizer.bos_token_id is not None:
        assert ids.count(tokenizer.bos_token_id) == 1
    assert ids.count(family.think_start_id) == (1 if family.thinks else 0)


@every_convention
def test_prompt_with_extra_instruction_follows_the_instruction(name: str) -> None:
    tokenizer, family = opened(name)
    text = render_prompt(QUESTION, tokenizer, family, ratio=0.3, prompting=Prompting.REDUCE)
    asked = "Please reduce 70% of the words in your chain of thought."
    assert f"{ASK} {asked}\n{QUESTION}{family.end_of_turn}" in text
    assert "0.3" not in text


def test_target_braces_of_an_answer_stay_balanced() -> None:
    assert render_answer(r"\frac{1}{2}") == r"The final answer is: $\boxed{\frac{1}{2}}$"


@pytest.mark.parametrize(("ratio", "written"), [(0.9, "0.9"), (0.3, "0.3"), (0.1 + 0.2, "0.3"), (0.25, "0.25")])
def test_suffix_writes_the_ratio_in_its_shortest_form(ratio: float, written: str) -> None:
    _, family = opened("llama 3")
    assert ratio_suffix(ratio, family) == f"<|eot_id|>{written}<|eot_id|>"


def test_suffix_at_ratio_one_is_empty() -> None:
    _, family = opened("llama 3")
    assert ratio_suffix(1.0, family) == ratio_suffix(1, family) == ""


@pytest.mark.parametrize(("ratio", "percent"), [(0.9, 10), (0.7, 30), (0.5, 50), (0.29, 71)])
def test_reduce_instruction_asks_for_the_complement_in_whole_percent(ratio: float, percent: int) -> None:
    asked = f"Please reduce {percent}% of the words in your chain of thought."
    assert extra_instruction(Prompting.REDUCE, ratio) == asked


def test_concise_instruction_is_the_golden_text() -> None:
    assert extra_instruction(Prompting.CONCISE, 1.0) == "Be concise: write no more reasoning than the answer needs."


def test_every_way_of_prompting_but_the_trained_one_says_something_of_its_own() -> None:
    said = {prompting: extra_instruction(prompting, 0.5) for prompting in Prompting}
    assert said.pop(Prompting.RATIO) == ""
    assert all(said.values()) and len(set(said.values())) == len(said)


def test_encoding_is_not_cut_by_what_another_caller_told_the_tokenizer():
    tokenizer = load_tokenizer(open_model("latent-mini").directory)
    text = "<think>\nAva has 12 stickers.</think>" * 3
    whole = encode(text, tokenizer)
    assert whole == tokenizer.encode(text, add_special_tokens=False)
    assert decode(whole, tokenizer) == text
    tokenizer(["short", text], truncation=True, max_length=4, padding=True)
    assert encode(text, tokenizer) == whole
