"""The code of a card writes a prompt as the project does, character for character, whatever the model's template."""

from __future__ import annotations

import ast
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from latent_core.config.ratio_form import RatioForm
from latent_core.dual import DualVocabulary
from latent_core.dual.constraint import PhaseMachine
from latent_core.export.usage import Usage, ratios_below_one
from latent_core.models.family import ChatFamily
from latent_core.models.ratio_tokens import RatioTokens
from latent_core.models.readable import ReadableModel
from latent_core.prompts import render_prompt
from tests.latent_core.test_prompts import every_convention, opened
from tests.support import conversations as written

QUESTION = 'What is {2} + "3"?\nSay it\\n as {x}.'
TOLD = {
    "suffix": None,
    "token": RatioTokens(RatioForm.TOKEN, (1.0, 0.5), (900, 901)),
    "echo": RatioTokens(RatioForm.ECHO, (1.0, 0.5), (900, 901), 902),
}


def _usage(tokenizer: Any, family: ChatFamily, ratios: tuple[float, ...], vocabulary: Any = None) -> Usage:
    return Usage(ReadableModel(tokenizer, family, vocabulary), ratios)


def _prompt(usage: Usage) -> Any:
    """The function `prompt` of the code."""
    space: dict[str, Any] = {"tokenizer": usage.readable.tokenizer}
    exec(usage.prompt_code(), space)
    return space["prompt"]


@every_convention
@pytest.mark.parametrize("told", list(TOLD))
def test_prompt_of_the_code_is_the_projects_at_every_ratio(name: str, told: str) -> None:
    tokenizer, family = opened(name)
    family = replace(family, ratio_tokens=TOLD[told])
    prompt = _prompt(_usage(tokenizer, family, (0.5,)))
    for ratio in (1.0, 0.5):
        assert prompt(QUESTION, ratio) == render_prompt(QUESTION, tokenizer, family, ratio=ratio)
    assert prompt(QUESTION) == render_prompt(QUESTION, tokenizer, family)


@every_convention
@pytest.mark.parametrize("told", ["suffix", "token"])
def test_prompt_of_a_model_that_knows_no_ratio_takes_none(name: str, told: str) -> None:
    tokenizer, family = opened(name)
    family = replace(family, ratio_tokens=TOLD[told])
    prompt = _prompt(_usage(tokenizer, family, ()))
    assert prompt(QUESTION) == render_prompt(QUESTION, tokenizer, family)
    with pytest.raises(TypeError):
        prompt(QUESTION, 0.5)


def test_code_uses_the_chat_template_where_it_gives_the_prompt_and_else_holds_the_text() -> None:
    tokenizer, family = opened("chatml, no thinking")
    assert "apply_chat_template" in _usage(tokenizer, family, (0.5,)).prompt_code()
    dated = "{{ strftime_now('%Y-%m-%d') }}\n" + tokenizer.chat_template
    tokenizer.chat_template = dated
    code = _usage(tokenizer, family, (0.5,)).prompt_code()
    assert "apply_chat_template" not in code and family.date in code


@pytest.mark.parametrize("code", ["with_transformers", "with_vllm"])
def test_code_of_a_dual_model_allows_the_ids_of_each_phase(code: str) -> None:
    tokenizer, family = opened("chatml, thinking left to the model")
    size = len(tokenizer)
    start, end = tokenizer.convert_tokens_to_ids(list(written.THINK))
    sources = (*range(4, 9), start, family.end_of_turn_id, -1)
    vocabulary = DualVocabulary(size, sources, start, end, (family.end_of_turn_id,))
    usage = _usage(tokenizer, family, (), vocabulary)
    text = getattr(usage, code)()
    ast.parse(text)
    lines = text[text.index("V, START, END") : text.index("def complete")]
    space: dict[str, Any] = {"dual": vocabulary.to_json()}
    exec(lines, space)
    machine = PhaseMachine(vocabulary, stop_ids=family.stop_ids)
    for ids in ([5, 6], [5, start], [5, start, size + 1], [start, size, end], [start, end, 7, 8]):
        phase = machine.phase_of_prompt(ids)
        assert sorted(space["allowed"](ids)) == machine.allowed[phase].nonzero()[0].tolist(), ids


def test_process_of_vllm_that_imports_a_script_starts_no_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, family = opened("chatml, no thinking")

    def llm(model: str) -> None:
        raise InterruptedError(model)

    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(LLM=llm, SamplingParams=None))
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", lambda model: tokenizer)
    script = _usage(tokenizer, family, (0.5,)).with_vllm()
    exec(script, {"__name__": "__mp_main__"})  # as multiprocessing names the script in a process that it has spawned
    with pytest.raises(InterruptedError):
        exec(script, {"__name__": "__main__"})


def test_ratios_are_those_below_one_of_all_that_are_numbers() -> None:
    assert ratios_below_one([1.0, 0.3, 0.7], [0.5, 1, "auto", 0.7]) == (0.7, 0.5, 0.3)
