"""The server's tokenizer and reasoning parser: latents are readable, whole and streamed; text spells no latent."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from latent_core import prompts
from latent_core.config.ratio_form import RatioForm, RatioTokensConfig
from latent_core.dual import DualVocabulary, build_dual
from latent_core.errors import InputError
from latent_core.models.family import chat_family, open_family
from latent_core.models.ratio_token_build import add_ratio_tokens
from latent_core.models.source import open_model
from latent_core.serving.tokenizer import DualTokenizer
from tests.latent_core.dual.conftest import make_tokenizer


def make_dual(think: str = "plain") -> DualTokenizer:
    inner = make_tokenizer(think=think)
    start, end = inner.convert_tokens_to_ids(["<think>", "</think>"])
    size = len(inner)
    mirrored = tuple(token for token in range(size) if token not in (start, end, inner.eos_token_id))
    return DualTokenizer(inner, DualVocabulary(size, mirrored, start, end, (inner.eos_token_id,)))


@pytest.fixture(params=["plain", "special"])
def tokenizer(request: pytest.FixtureRequest) -> DualTokenizer:
    return make_dual(request.param)


def latent(tokenizer: DualTokenizer, text: str) -> list[int]:
    return [int(token) for token in tokenizer.dual_vocabulary.to_latent(tokenizer.encode(text))]


def completion(tokenizer: DualTokenizer) -> list[int]:
    vocabulary = tokenizer.dual_vocabulary
    thoughts = latent(tokenizer, "café 7 + 12 日本")
    assert min(thoughts) >= vocabulary.visible_size
    return [*thoughts, vocabulary.think_end_id, *tokenizer.encode("x is 19"), *vocabulary.eos_ids]


def test_latents_are_read_as_their_sources(tokenizer: DualTokenizer) -> None:
    text = tokenizer.decode(completion(tokenizer), skip_special_tokens=True)
    assert text == "café 7 + 12 日本</think>x is 19"
    tokens = tokenizer.convert_ids_to_tokens(completion(tokenizer), skip_special_tokens=True)
    assert tokenizer.convert_tokens_to_string(tokens) == text
    assert tokenizer.max_token_id == len(tokenizer) - 1 == tokenizer.dual_vocabulary.size - 1


def test_text_cannot_spell_a_latent(tokenizer: DualTokenizer) -> None:
    assert max(tokenizer.encode("<|latent_5|> café")) < tokenizer.dual_vocabulary.visible_size


def test_generation_prompt_is_that_of_the_project(tokenizer: DualTokenizer) -> None:
    turns = [{"role": "system", "content": prompts.SYSTEM}]
    turns.append({"role": "user", "content": f"{prompts.INSTRUCTION}\nWhat is x?"})
    rendered = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    inner = tokenizer._inner
    assert rendered == prompts.render_prompt("What is x?", inner, chat_family(inner, is_dual=True))
    assert tokenizer.apply_chat_template(turns, tokenize=False) == inner.apply_chat_template(turns, tokenize=False)


def test_generation_prompt_of_a_model_that_names_its_ratio_leaves_the_think_mark_to_it(tmp_path: Path) -> None:
    config = RatioTokensConfig(form=RatioForm.ECHO, ratios=(0.5,))
    add_ratio_tokens(open_model("latent-mini").directory, tmp_path / "told", config)
    build_dual(tmp_path / "told", tmp_path / "dual")
    served = DualTokenizer.from_pretrained(tmp_path / "dual")
    turns = [{"role": "system", "content": prompts.SYSTEM}]
    turns.append({"role": "user", "content": f"{prompts.INSTRUCTION}\nWhat is x?<|ratio_50|>"})
    rendered = served.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    inner, family = open_family(tmp_path / "dual")
    assert rendered == prompts.render_prompt("What is x?", inner, family, ratio=0.5)


def test_copy_is_whole(tokenizer: DualTokenizer) -> None:
    assert copy.copy(tokenizer).decode(completion(tokenizer)) == tokenizer.decode(completion(tokenizer))


def test_parser_splits_streams_counts_and_survives_a_cut(tokenizer: DualTokenizer) -> None:
    pytest.importorskip("vllm")
    from vllm.tokenizers.detokenizer_utils import detokenize_incrementally

    from latent_core.serving.reasoning_parser import DualReasoningParser

    request: Any = None
    ids = completion(tokenizer)
    text = tokenizer.decode(ids, skip_special_tokens=True)
    parser = DualReasoningParser(tokenizer)
    assert parser.extract_reasoning(text, request) == ("café 7 + 12 日本", "x is 19")
    assert parser.extract_reasoning("café", request) == ("café", None)
    assert parser.count_reasoning_tokens(ids) == ids.index(tokenizer.dual_vocabulary.think_end_id)
    assert not parser.is_reasoning_end(ids[:3]) and parser.is_reasoning_end(ids)
    prompt = [*tokenizer.encode("Why?"), tokenizer.dual_vocabulary.think_start_id]
    parser.adjust_initial_state_from_prompt(prompt)
    tokens, prefix, read, said = None, 0, 0, {"reasoning": "", "content": ""}
    for position in range(len(ids)):
        seen = [*prompt, *ids[: position + 1]]
        new, delta, prefix, read = detokenize_incrementally(tokenizer, seen, tokens, prefix, read, True)
        tokens = new if tokens is None else [*tokens, *new]
        message = parser.extract_reasoning_streaming("", "", delta, [], [], [ids[position]])
        said["reasoning"] += (message and message.reasoning) or ""
        said["content"] += (message and message.content) or ""
    assert said == {"reasoning": "café 7 + 12 日本", "content": "x is 19"}


def test_parser_with_an_ordinary_tokenizer_names_the_option() -> None:
    pytest.importorskip("vllm")
    from latent_core.serving.reasoning_parser import DualReasoningParser

    with pytest.raises(InputError, match="--tokenizer-mode dual"):
        DualReasoningParser(make_tokenizer())
