"""How prompts and targets tell the ratio by tokens, character for character, for each convention."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from latent_core.config.prompting import Prompting, TextFormat
from latent_core.config.ratio_form import AUTO, RatioForm
from latent_core.errors import InputError
from latent_core.exemplars import Exemplar
from latent_core.models.family import ChatFamily
from latent_core.models.ratio_tokens import RatioTokens
from latent_core.prompts import render_direct_target, render_prompt, render_target
from tests.latent_core.test_prompts import CONVENTIONS, QUESTION, every_convention, opened

TOKENS = RatioTokens(RatioForm.TOKEN, (1.0, 0.5), (900, 901))
ECHO = RatioTokens(RatioForm.ECHO, (1.0, 0.5), (900, 901), 902)


def _told(name: str, tokens: RatioTokens) -> tuple[Any, ChatFamily]:
    tokenizer, family = opened(name)
    return tokenizer, replace(family, ratio_tokens=tokens)


def _golden(name: str, family: ChatFamily, token: str) -> str:
    """The golden prompt with a token where it has the suffix."""
    suffix = f"{family.end_of_turn}0.5{family.end_of_turn}"
    return CONVENTIONS[name].prompt.replace(suffix, token)


@every_convention
@pytest.mark.parametrize(("ratio", "token"), [(0.5, "<|ratio_50|>"), (1.0, "<|ratio_100|>"), (1, "<|ratio_100|>")])
def test_token_stands_where_the_suffix_stood_at_ratio_one_too(name: str, ratio: float, token: str) -> None:
    tokenizer, family = _told(name, TOKENS)
    assert render_prompt(QUESTION, tokenizer, family, ratio=ratio) == _golden(name, family, token)
    assert render_target("6 + 7 = 13", "13", family, ratio=ratio) == CONVENTIONS[name].target


@every_convention
@pytest.mark.parametrize(("ratio", "token"), [(0.5, "<|ratio_50|>"), (1.0, "<|ratio_100|>"), (AUTO, "<|ratio_auto|>")])
def test_echoing_model_is_left_before_its_think_mark_and_names_the_ratio_first(
    name: str, ratio: Any, token: str
) -> None:
    tokenizer, family = _told(name, ECHO)
    prompt = render_prompt(QUESTION, tokenizer, family, ratio=ratio)
    assert f"{prompt}{family.think_start}\n" == _golden(name, family, token) if family.thinks else True
    assert "<think>" not in prompt and prompt.count(token) == 1
    opening = "<|ratio_50|><think>" if family.thinks else "<|ratio_50|>"
    assert render_target("6 + 7 = 13", "13", family, ratio=0.5) == opening + CONVENTIONS[name].target
    direct = render_direct_target("13", family)
    assert direct == opening.replace("50", "100") + render_direct_target("13", replace(family, ratio_tokens=None))


@every_convention
@pytest.mark.parametrize("tokens", [TOKENS, ECHO])
@pytest.mark.parametrize("prompting", [Prompting.CONCISE, Prompting.REDUCE, Prompting.CHAIN_OF_DRAFT])
def test_ways_of_prompting_without_a_trained_ratio_are_what_they_are_without_tokens(
    name: str, tokens: RatioTokens, prompting: Prompting
) -> None:
    tokenizer, family = _told(name, tokens)
    bare = replace(family, ratio_tokens=None)
    told, without = (render_prompt(QUESTION, tokenizer, f, ratio=0.5, prompting=prompting) for f in (family, bare))
    assert told == without and "<|ratio" not in told


def test_ratio_that_a_model_cannot_be_asked_for_is_named() -> None:
    tokenizer, plain = opened("llama 3")
    cases = [
        (TOKENS, 0.4, "ratio: 0.4 has no token in this model; it has 1, 0.5"),
        (TOKENS, AUTO, "ratio: auto needs a model that names its ratio"),
        (None, AUTO, "ratio: auto needs a model that names its ratio"),
    ]
    for tokens, ratio, message in cases:
        with pytest.raises(InputError, match=message):
            render_prompt(QUESTION, tokenizer, replace(plain, ratio_tokens=tokens), ratio=ratio)


def test_echoing_model_is_not_shown_worked_examples_or_other_formats() -> None:
    tokenizer, family = _told("chatml, thinking left to the model", ECHO)
    with pytest.raises(InputError, match="no worked examples and no format but boxed"):
        render_prompt(QUESTION, tokenizer, family, exemplars=[Exemplar("1 + 1?", "Two.", "2")])
    with pytest.raises(InputError, match="no worked examples and no format but boxed"):
        render_prompt(QUESTION, tokenizer, family, text_format=TextFormat.XML)


def test_completion_is_read_after_the_ratio_and_the_think_mark() -> None:
    _, family = _told("chatml, thinking left to the model", ECHO)
    start = family.think_start_id
    assert family.without_echo([901, start, 5, 6]) == (0.5, [5, 6])
    assert family.without_echo([start, 5, 6]) == (None, [5, 6])  # it forgot the ratio
    assert family.without_echo([901, 5, 6]) == (0.5, [5, 6])  # or the mark
    assert family.without_echo([5, 901, 6]) == (None, [5, 901, 6])
    assert family.without_echo([902, start, 5]) == (None, [902, start, 5])  # auto is asked for, never named
    assert family.without_echo([]) == (None, [])
    assert replace(family, ratio_tokens=TOKENS).without_echo([901, start, 5]) == (None, [901, start, 5])
    assert replace(family, ratio_tokens=None).without_echo([start, 5]) == (None, [start, 5])
