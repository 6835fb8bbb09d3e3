"""Whether a model thinks is read from what its template renders, and `chat.thinking` says otherwise or is refused."""

from __future__ import annotations

from typing import Any

import pytest

from latent_core.config.chat import ChatConfig, Thinking
from latent_core.errors import InputError
from latent_core.models.family import ChatFamily, chat_family
from latent_core.models.mini import CHAT_TEMPLATE
from latent_core.prompts import render_prompt, render_target
from tests.support import conversations as written
from tests.support.conversations import tokenizer_of

OPENED, CLOSED, PLAIN = "<think>\n", "<think>\n\n</think>\n\n", ""
CHATML_END, R1_END = "<|im_end|>\n<|im_start|>assistant\n", "<｜Assistant｜>"
# Template, kind of tokenizer, setting, and what a prompt ends in after the question.
STATES: dict[str, tuple[str, str, str, str]] = {
    "instruct that never thinks": (written.CHATML, "chatml", "auto", CHATML_END),
    "instruct that is told to": (written.CHATML, "chatml", "on", CHATML_END + OPENED),
    "prompt opens": (written.CHATML_OPEN_THINK, "chatml", "auto", CHATML_END + OPENED),
    "hybrid": (written.QWEN3, "chatml", "auto", CHATML_END + OPENED),
    "hybrid, off": (written.QWEN3, "chatml", "off", CHATML_END + CLOSED),
    "hybrid, on": (written.QWEN3, "chatml", "on", CHATML_END + OPENED),
    "thinking only": (written.QWEN3_OPENS, "chatml", "auto", CHATML_END + OPENED),
    "hybrid that opens": (written.QWEN35, "chatml", "auto", CHATML_END + OPENED),
    "hybrid that opens, off": (written.QWEN35, "chatml", "off", CHATML_END + CLOSED),
    "hybrid that closes": (written.QWEN35_OFF, "chatml", "auto", CHATML_END + CLOSED),
    "hybrid that closes, on": (written.QWEN35_OFF, "chatml", "on", CHATML_END + OPENED),
    "system prompt names the marks": (written.SMOLLM3, "chatml", "auto", CHATML_END + OPENED),
    "system prompt names the marks, off": (
        written.SMOLLM3, "chatml", "off", CHATML_END + "<think>\n\n</think>\n"
    ),
    "system turn asks for it": (written.GRANITE, "chatml", "auto", CHATML_END),
    "system turn asks for it, on": (written.GRANITE, "chatml", "on", CHATML_END + OPENED),
    "distilled": (written.DEEPSEEK_R1, "deepseek", "auto", R1_END + OPENED),
    "distilled, earlier": (written.DEEPSEEK_R1_SILENT, "deepseek", "auto", R1_END + OPENED),
    "distilled, earlier, off": (written.DEEPSEEK_R1_SILENT, "deepseek", "off", R1_END),
    "lone closing mark": (written.DEEPSEEK_V31, "deepseek", "auto", R1_END + "</think>"),
    "lone closing mark, on": (written.DEEPSEEK_V31, "deepseek", "on", R1_END + "<think>"),
    "empty pair in every answer": (written.EMPTY_PAIR, "chatml", "auto", CHATML_END),
    "no think tokens": (written.GEMMA, "gemma", "auto", "<end_of_turn>\n<start_of_turn>model\n"),
}  # fmt: skip


def opened(name: str) -> tuple[Any, ChatFamily]:
    template, kind, setting, _ = STATES[name]
    tokenizer = tokenizer_of(template, kind, () if kind == "gemma" else written.THINK)
    return tokenizer, chat_family(tokenizer, ChatConfig(thinking=Thinking(setting)))


@pytest.mark.parametrize("name", STATES)
def test_prompt_leaves_the_model_where_its_family_starts(name: str) -> None:
    tokenizer, family = opened(name)
    ending = STATES[name][3]
    assert render_prompt("How many?", tokenizer, family).rpartition("How many?")[2] == ending
    assert family.thinks == (ending.count("<think>") > ending.count("</think>"))


@pytest.mark.parametrize("name", STATES)
def test_target_closes_the_reasoning_once_exactly_where_the_prompt_opened_it(name: str) -> None:
    tokenizer, family = opened(name)
    whole = render_prompt("How many?", tokenizer, family).rpartition("How many?")[2] + render_target("R", "7", family)
    marks = [token for token in tokenizer.tokenize(whole) if token in written.THINK]
    assert marks.count("<think>") <= marks.count("</think>") == (1 if family.thinks or len(marks) else 0)
    assert whole.index("R\n\n") < whole.index("The final answer is")
    between = whole[whole.index("R\n\n") :]
    assert ("</think>" in between) == family.thinks  # reasoning stands before the mark, or there is none after it


def test_switch_that_only_changes_the_system_turn_is_set_for_a_model_that_shall_think() -> None:
    tokenizer, family = opened("system turn asks for it, on")
    assert "between <think></think>" in family.render([{"role": "user", "content": "How many?"}], tokenizer)
    assert opened("system turn asks for it")[1].options == ()


@pytest.mark.parametrize("name", [name for name in STATES if STATES[name][2] == "auto"])
def test_saying_what_the_template_says_anyway_changes_nothing(name: str) -> None:
    tokenizer, family = opened(name)
    said = Thinking.ON if family.thinks else Thinking.OFF
    told = chat_family(tokenizer, ChatConfig(thinking=said))
    assert told == family and told.identity() == family.identity()


@pytest.mark.parametrize(
    ("template", "kind", "plain", "setting", "message"),
    [
        (written.CHATML_OPEN_THINK, "chatml", written.THINK, "off", "always opens the reasoning"),
        (written.DEEPSEEK_R1, "deepseek", written.THINK, "off", "always opens the reasoning"),
        (
            written.CHATML_OPEN_THINK.replace("<think>\n", "<think>\n\n</think>\n\n"), "chatml", written.THINK, "on",
            "closes the reasoning before the model says anything",
        ),
        (written.CHATML, "chatml", (), "on", "its tokenizer has no think tokens"),
    ],
)  # fmt: skip
def test_setting_that_contradicts_the_template_is_refused_by_name(
    template: str, kind: str, plain: tuple[str, ...], setting: str, message: str
) -> None:
    with pytest.raises(InputError, match=rf"^chat\.thinking: .*{message}.*set (on|off) or auto"):
        chat_family(tokenizer_of(template, kind, plain), ChatConfig(thinking=Thinking(setting)))


def test_template_that_opens_a_mark_its_tokenizer_lacks_is_refused() -> None:
    with pytest.raises(InputError, match="opens the reasoning with <think>, but <think> and </think> are not tokens"):
        chat_family(tokenizer_of(written.CHATML_OPEN_THINK, plain=()))


def test_marks_are_those_that_the_template_writes_and_not_the_first_of_the_vocabulary() -> None:
    template = written.CHATML_OPEN_THINK.replace("<think>", "[THINK]")
    family = chat_family(tokenizer_of(template, plain=(*written.THINK, "[THINK]", "[/THINK]")))
    assert (family.think_start, family.think_end, family.opens_think) == ("[THINK]", "[/THINK]", True)
    assert family.identity() == {"think_marks": ["[THINK]", "[/THINK]"]}


def test_words_after_an_open_mark_do_not_hide_it() -> None:
    template = written.CHATML_OPEN_THINK.replace("<think>\n", "<think>\nOkay,")
    family = chat_family(tokenizer_of(template))
    assert family.thinks and family.opens_think


def test_the_embedded_models_template_thinks_though_it_says_nothing_of_it() -> None:
    family = chat_family(tokenizer_of(CHAT_TEMPLATE))
    assert family.thinks and not family.opens_think and family.identity() == {}


def test_dual_model_thinks_whatever_its_template_shows_and_cannot_be_told_not_to() -> None:
    tokenizer = tokenizer_of(written.CHATML)
    assert chat_family(tokenizer, is_dual=True).thinks
    assert chat_family(tokenizer_of(written.QWEN35_OFF), is_dual=True).options == (("enable_thinking", True),)
    with pytest.raises(InputError, match=r"^chat\.thinking: is off, but a dual model"):
        chat_family(tokenizer, ChatConfig(thinking=Thinking.OFF), is_dual=True)


@pytest.mark.parametrize(("value", "meant"), [(True, Thinking.ON), (False, Thinking.OFF), ("auto", Thinking.AUTO)])
def test_unquoted_on_and_off_of_yaml_are_words(value: object, meant: Thinking) -> None:
    assert ChatConfig.model_validate({"thinking": value}).thinking is meant
