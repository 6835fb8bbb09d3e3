"""Headers of an assistant's turn are part of targets, and completions are read through them."""

from __future__ import annotations

import pytest

from latent_core.config.prompting import TextFormat
from latent_core.errors import InputError
from latent_core.exemplars import Exemplar
from latent_core.generate.completions import _split
from latent_core.models.family import chat_family
from latent_core.models.readable import ReadableModel
from latent_core.models.tokens import encode
from latent_core.prompts import render_direct_target, render_prompt, render_target
from tests.support import conversations as written
from tests.support.conversations import tokenizer_of

FINAL = "<|channel|>final<|message|>"
SENTENCE = "The final answer is: $\\boxed{7}$"
KINDS = {
    "harmony": (written.HARMONY, "harmony", ()),
    "empty pair": (written.EMPTY_PAIR, "chatml", written.THINK),
    "mistral": (written.MISTRAL, "mistral", ()),
    "llama": (written.LLAMA_31, "llama", ()),
    "gemma": (written.GEMMA, "gemma", ()),
    "instruct": (written.CHATML, "chatml", written.THINK),
    "hybrid that closes": (written.QWEN35_OFF, "chatml", written.THINK),
    "lone closing mark": (written.DEEPSEEK_V31, "deepseek", written.THINK),
}


def readable(kind: str) -> ReadableModel:
    tokenizer = tokenizer_of(*KINDS[kind])
    return ReadableModel(tokenizer, chat_family(tokenizer), None)


@pytest.mark.parametrize("kind", KINDS)
def test_prompt_and_target_are_the_conversation_as_the_template_writes_it(kind: str) -> None:
    model = readable(kind)
    family, tokenizer = model.family, model.tokenizer
    prompt, target = render_prompt("How many?", tokenizer, family), render_target("3 + 4", "7", family)
    turns = [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": f"3 + 4\n\n{SENTENCE}"}]
    whole = family.render(turns, tokenizer)
    opening = family.render(turns[:1], tokenizer, add_generation_prompt=True)
    written_out = opening + target
    assert whole.startswith(written_out)
    assert prompt.rpartition("How many?")[2] == opening.rpartition("How many?")[2]
    assert encode(opening, tokenizer) + encode(target, tokenizer) == encode(written_out, tokenizer)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text_format", [TextFormat.BOXED, TextFormat.XML])
def test_completion_that_is_the_target_is_read_back(kind: str, text_format: TextFormat) -> None:
    model = readable(kind)
    target = render_target("3 + 4 is 7", "7", model.family, text_format)
    parts = _split(encode(target, model.tokenizer), model, text_format)
    assert parts.reasoning == "3 + 4 is 7"
    assert ("\\boxed{7}" if text_format is TextFormat.BOXED else "<answer>7</answer>") in parts.completion
    assert parts.reasoning_tokens == model.count("3 + 4 is 7")
    assert "<|" not in parts.completion


def test_harmony_target_starts_with_the_final_channel_and_repeats_nothing_of_the_prompt() -> None:
    model = readable("harmony")
    prompt = render_prompt("How many?", model.tokenizer, model.family, ratio=0.5)
    assert prompt.endswith("<|start|>assistant")
    assert render_target("3 + 4", "7", model.family) == f"{FINAL}3 + 4\n\n{SENTENCE}<|return|>"
    assert render_direct_target("7", model.family) == f"{FINAL}{SENTENCE}<|return|>"


def test_harmony_analysis_is_the_reasoning_and_its_final_channel_the_answer() -> None:
    model = readable("harmony")
    said = f"<|channel|>analysis<|message|>3 + 4 is 7.<|end|><|start|>assistant{FINAL}It is \\boxed{{7}}.<|return|>"
    parts = _split(encode(said, model.tokenizer), model, TextFormat.BOXED)
    assert (parts.reasoning, parts.completion) == ("3 + 4 is 7.", "<think>3 + 4 is 7.</think>It is \\boxed{7}.")


def test_harmony_analysis_that_is_cut_has_no_answer() -> None:
    model = readable("harmony")
    parts = _split(encode("<|channel|>analysis<|message|>maybe \\boxed{8}", model.tokenizer), model, TextFormat.BOXED)
    assert (parts.reasoning, parts.completion) == ("maybe \\boxed{8}", "<think>maybe \\boxed{8}")


def test_idle_think_marks_that_a_model_writes_all_the_same_are_read() -> None:
    model = readable("instruct")
    said = f"<think>\n3 + 4\n</think>\n\n{SENTENCE}<|im_end|>"
    parts = _split(encode(said, model.tokenizer), model, TextFormat.BOXED)
    assert (parts.reasoning, parts.completion) == ("3 + 4", f"<think>\n3 + 4\n</think>\n\n{SENTENCE}")


def test_worked_examples_have_the_header_once() -> None:
    model = readable("harmony")
    shots = [Exemplar("1 + 1?", "one and one", "2")]
    text = render_prompt("How many?", model.tokenizer, model.family, exemplars=shots)
    assert text.count(FINAL) == 1
    assert f"{FINAL}one and one\n\nThe final answer is: $\\boxed{{2}}$<|end|>" in text


def test_header_before_the_reasoning_of_a_thinking_model_is_refused_by_name() -> None:
    template = written.QWEN3.replace(
        "assistant\\n<think>\\n' + reasoning", "assistant\\n## Voice\\n<think>\\n' + reasoning"
    )
    with pytest.raises(InputError, match=r"writes '## Voice\\n' before the reasoning.*chat\.thinking: off"):
        chat_family(tokenizer_of(template))


def test_generation_prompt_that_no_answer_follows_is_refused_by_name() -> None:
    template = written.CHATML.replace("assistant\n{% endif %}", "assistant\nSure:{% endif %}")
    with pytest.raises(InputError, match=r"prompts an answer with .*Sure:.* these do not fit together; replace"):
        chat_family(tokenizer_of(template))
