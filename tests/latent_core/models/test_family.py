"""Families are read off the tokenizer: one small tokenizer per published convention, none of them named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from latent_core.errors import InputError
from latent_core.models.family import ChatFamily, chat_family, load_tokenizer
from tests.support.conversations import CHATML, CHATML_OPEN_THINK, GEMMA

LLAMA_3 = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
PHI_3 = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)


def small_tokenizer(template: str | None, special: Sequence[str], plain: Sequence[str] = (), **named: str) -> Any:
    """A byte-level tokenizer without merges: `special` tokens get the first ids, `plain` added tokens the last."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    entries = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    core = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(entries)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    core.add_tokens([AddedToken(token, normalized=False, special=False) for token in plain])
    return PreTrainedTokenizerFast(tokenizer_object=core, chat_template=template, **named)


def thinking_chatml(template: str) -> Any:
    return small_tokenizer(
        template, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], ["<think>", "</think>"],
        eos_token="<|im_end|>", pad_token="<|endoftext|>",
    )  # fmt: skip


def test_family_chatml_that_opens_thinking_is_read_whole() -> None:
    assert chat_family(thinking_chatml(CHATML_OPEN_THINK)) == ChatFamily(
        end_of_turn="<|im_end|>", end_of_turn_id=2, stop_ids=(2,), pad_id=0,
        think_start="<think>", think_end="</think>", think_start_id=259, think_end_id=260,
        opens_think=True, has_system_role=True,
    )  # fmt: skip


def test_family_think_tokens_that_no_conversation_shows_are_no_thinking() -> None:
    family = chat_family(thinking_chatml(CHATML))
    assert not family.thinks and not family.opens_think
    assert (family.think_start_id, family.think_end_id) == (None, None)


def test_family_chatml_without_think_tokens_does_not_think() -> None:
    tokenizer = small_tokenizer(CHATML, ["<|im_start|>", "<|im_end|>"], eos_token="<|im_end|>", pad_token="<|im_end|>")
    assert chat_family(tokenizer) == ChatFamily(
        end_of_turn="<|im_end|>", end_of_turn_id=1, stop_ids=(1,), pad_id=1,
        think_start=None, think_end=None, think_start_id=None, think_end_id=None,
        opens_think=False, has_system_role=True,
    )  # fmt: skip
    assert not chat_family(tokenizer).thinks


def test_family_llama_3_ends_turns_and_stops_at_eot_and_eos() -> None:
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    tokenizer = small_tokenizer(LLAMA_3, special, bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>")
    family = chat_family(tokenizer)
    assert (family.end_of_turn, family.end_of_turn_id, family.stop_ids) == ("<|eot_id|>", 4, (1, 4))
    assert family.pad_id == 4  # published without a pad token
    assert family.has_system_role and not family.thinks


def test_family_phi_3_ends_turns_with_end_and_not_with_the_trailing_eos() -> None:
    special = ["<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
    family = chat_family(small_tokenizer(PHI_3, special, eos_token="<|endoftext|>", pad_token="<|endoftext|>"))
    assert (family.end_of_turn, family.end_of_turn_id) == ("<|end|>", 4)
    assert (family.stop_ids, family.pad_id, family.has_system_role) == ((0, 4), 0, True)


def test_family_gemma_that_raises_for_a_system_turn_has_no_system_role() -> None:
    special = ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"]
    tokenizer = small_tokenizer(GEMMA, special, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>")
    family = chat_family(tokenizer)
    assert (family.end_of_turn, family.stop_ids, family.pad_id) == ("<end_of_turn>", (1, 4), 0)
    assert not family.has_system_role


def test_family_template_that_drops_system_turns_has_no_system_role() -> None:
    template = CHATML.replace("%}<|im_start|>", "%}{% if message['role'] != 'system' %}<|im_start|>", 1).replace(
        "{% endfor %}", "{% endif %}{% endfor %}"
    )
    tokenizer = small_tokenizer(template, ["<|im_start|>", "<|im_end|>"], eos_token="<|im_end|>")
    assert not chat_family(tokenizer).has_system_role


def test_family_reasoning_stripped_from_history_still_finds_the_turns_end() -> None:
    """Templates of thinking models rewrite past assistant turns; the answer and its end stay."""
    template = CHATML.replace("{{ message['content'] }}", "{{ message['content'].split('</think>')[-1] }}")
    assert chat_family(thinking_chatml(template)).end_of_turn == "<|im_end|>"


@pytest.mark.parametrize(
    ("start", "end"), [("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]"), ("<|think|>", "<|/think|>")]
)
def test_family_other_think_marks_are_found(start: str, end: str) -> None:
    template = CHATML_OPEN_THINK.replace("<think>", start)
    tokenizer = small_tokenizer(template, ["<|im_start|>", "<|im_end|>"], [start, end], eos_token="<|im_end|>")
    family = chat_family(tokenizer)
    assert (family.think_start, family.think_end) == (start, end)
    assert tokenizer.encode(end, add_special_tokens=False) == [family.think_end_id]


def test_family_lone_opening_mark_is_no_thinking() -> None:
    tokenizer = small_tokenizer(CHATML, ["<|im_start|>", "<|im_end|>"], ["<think>"], eos_token="<|im_end|>")
    assert not chat_family(tokenizer).thinks


def test_family_without_chat_template_names_the_fix() -> None:
    tokenizer = small_tokenizer(None, ["<|im_start|>", "<|im_end|>"], eos_token="<|im_end|>")
    with pytest.raises(InputError, match=r"no chat template; add chat_template\.jinja"):
        chat_family(tokenizer)


def test_family_turn_that_ends_in_plain_text_is_refused() -> None:
    template = CHATML.replace("<|im_end|>", "###")
    tokenizer = small_tokenizer(template, ["<|im_start|>", "<|im_end|>"], eos_token="<|im_end|>")
    with pytest.raises(InputError, match=r"ends a turn with '###\\n', which does not start with a special token"):
        chat_family(tokenizer)


def test_family_template_without_assistant_words_is_refused() -> None:
    template = "{{ messages[0]['content'] }}<|im_end|>"
    tokenizer = small_tokenizer(template, ["<|im_start|>", "<|im_end|>"], eos_token="<|im_end|>")
    with pytest.raises(InputError, match="leaves out the assistant's words"):
        chat_family(tokenizer)


def test_load_tokenizer_saved_directory_keeps_the_family(tmp_path: Path) -> None:
    saved = thinking_chatml(CHATML_OPEN_THINK)
    saved.save_pretrained(tmp_path)
    assert chat_family(load_tokenizer(tmp_path)) == chat_family(saved)


def test_load_tokenizer_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent is not a directory"):
        load_tokenizer(tmp_path / "absent")


def test_load_tokenizer_empty_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no tokenizer could be loaded from"):
        load_tokenizer(tmp_path)


def test_load_tokenizer_weights_without_tokenizer_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')  # transformers makes up a one-token tokenizer
    with pytest.raises(InputError, match=r"holds no tokenizer; copy tokenizer\.json"):
        load_tokenizer(tmp_path)
