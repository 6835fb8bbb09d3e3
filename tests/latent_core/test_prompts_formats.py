"""Golden prompts and targets of every format, with worked examples, for each way of writing a conversation."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from latent_core.config.prompting import Prompting, TextFormat
from latent_core.exemplars import Exemplar, exemplars_of
from latent_core.methods.concise import rationale
from latent_core.prompts import render_direct_target, render_prompt, render_target
from tests.latent_core.test_prompts import CONVENTIONS, QUESTION, opened

BOXED_ASK = "Please reason step by step, and put your final answer within \\boxed{}."
XML_ASK = (
    "Please reason step by step between <think> and </think>, and put your final answer between <answer> and </answer>."
)
SHOT = Exemplar("What is 1 + 2?", "1 + 2 = 3", "3")


@dataclass(frozen=True)
class Frame:
    """What a convention writes around the words of a user and of the model."""

    first: str  # before the first question
    answer: str  # between a question and its answer
    end: str  # after an answer
    following: str = ""  # between an answer and the next question
    think: str = ""  # at the start of an answer
    bos: str = ""


CHATML = {
    "first": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n",
    "answer": "<|im_end|>\n<|im_start|>assistant\n",
    "end": "<|im_end|>",
    "following": "\n<|im_start|>user\n",
}
FRAMES = {
    "chatml, thinking opened by the template": Frame(**CHATML, think="<think>\n"),
    "chatml, thinking left to the model": Frame(**CHATML, think="<think>\n"),
    "chatml, no thinking": Frame(**CHATML),
    "llama 3": Frame(
        first="<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are a helpful assistant.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n",
        answer="<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        end="<|eot_id|>",
        following="<|start_header_id|>user<|end_header_id|>\n\n",
        bos="<|begin_of_text|>",
    ),
    "phi 3": Frame(
        first="<|system|>\nYou are a helpful assistant.<|end|>\n<|user|>\n",
        answer="<|end|>\n<|assistant|>\n",
        end="<|end|>",
        following="\n<|user|>\n",
    ),
    "gemma, no system role": Frame(
        first="<bos><start_of_turn>user\nYou are a helpful assistant.\n\n",
        answer="<end_of_turn>\n<start_of_turn>model\n",
        end="<end_of_turn>",
        following="\n<start_of_turn>user\n",
        bos="<bos>",
    ),
}
every_frame = pytest.mark.parametrize("name", FRAMES)


def test_every_convention_has_golden_formats() -> None:
    assert FRAMES.keys() == CONVENTIONS.keys()


@every_frame
def test_xml_prompt_and_target_are_the_golden_text(name: str) -> None:
    (tokenizer, family), frame = opened(name), FRAMES[name]
    prompt = render_prompt(QUESTION, tokenizer, family, text_format=TextFormat.XML)
    assert prompt == f"{frame.first}{XML_ASK}\nWhat is 6 + 7?{frame.answer}{frame.think}"
    target = render_target(" 6 + 7 = 13\n", "13", family, TextFormat.XML)
    opening = "" if frame.think else "<think>\n"  # a thinking model was started inside it
    assert target == f"{opening}6 + 7 = 13\n</think>\n<answer>13</answer>{frame.end}"


@every_frame
def test_raw_text_prompt_and_target_are_the_golden_text(name: str) -> None:
    (tokenizer, family), frame = opened(name), FRAMES[name]
    prompt = render_prompt(QUESTION, tokenizer, family, text_format=TextFormat.RAW_TEXT)
    target = render_target(" 6 + 7 = 13\n", "13", family, TextFormat.RAW_TEXT)
    assert prompt + target == f"{frame.bos}What is 6 + 7? 6 + 7 = 13\nThe answer is 13{frame.end}"
    assert prompt.endswith("What is 6 + 7?")


@every_frame
def test_direct_target_states_the_answer_at_once(name: str) -> None:
    (_, family), frame = opened(name), FRAMES[name]
    closing = "\n</think>\n\n" if frame.think else ""
    assert render_direct_target("13", family) == f"{closing}The final answer is: $\\boxed{{13}}${frame.end}"


@every_frame
@pytest.mark.parametrize("text_format", list(TextFormat))
def test_worked_example_is_written_as_the_model_shall_write(name: str, text_format: TextFormat) -> None:
    (tokenizer, family), frame = opened(name), FRAMES[name]
    prompt = render_prompt(QUESTION, tokenizer, family, text_format=text_format, exemplars=[SHOT])
    shown = render_target("1 + 2 = 3", "3", family, text_format)
    if text_format is TextFormat.RAW_TEXT:
        assert prompt == f"{frame.bos}What is 1 + 2? 1 + 2 = 3\nThe answer is 3{frame.end}\nWhat is 6 + 7?"
        return
    ask = XML_ASK if text_format is TextFormat.XML else BOXED_ASK
    example = f"{ask}\nWhat is 1 + 2?{frame.answer}{frame.think}{shown}"
    assert prompt == f"{frame.first}{example}{frame.following}{ask}\nWhat is 6 + 7?{frame.answer}{frame.think}"


@every_frame
@pytest.mark.parametrize(
    ("prompting", "asked", "first"),
    [
        (
            Prompting.CHAIN_OF_DRAFT,
            "For every step keep only a short draft of at most five words.",
            "start 24\nsold: 9 + 7 = 16\nleft: 24 - 16 = 8",
        ),
        (
            Prompting.SKETCH_OF_THOUGHT,
            "Sketch the reasoning: variables, equations and arrows between linked ideas instead of sentences.",
            "r = 24 → s = 9 + 7 = 16 → r - s = 24 - 16 = 8",
        ),
    ],
)
def test_prompting_paradigm_shows_three_examples_in_its_own_manner(
    name: str, prompting: Prompting, asked: str, first: str
) -> None:
    (tokenizer, family), frame = opened(name), FRAMES[name]
    prompt = render_prompt(QUESTION, tokenizer, family, prompting=prompting)
    turns = prompt.removeprefix(frame.first).split(frame.following)
    assert len(turns) == 4 and all(turn.startswith(f"{BOXED_ASK} {asked}\n") for turn in turns)
    closing = "</think>\n\n" if frame.think else ""
    answer = f"{first}\n\n{closing}The final answer is: $\\boxed{{8}}${frame.end}"
    assert turns[0].endswith(f"How many rolls are left?{frame.answer}{frame.think}{answer}")
    assert turns[3] == f"{BOXED_ASK} {asked}\nWhat is 6 + 7?{frame.answer}{frame.think}"


def test_chain_of_draft_examples_keep_to_five_words_a_step() -> None:
    for shot in exemplars_of(Prompting.CHAIN_OF_DRAFT):
        for step in shot.reasoning.splitlines():
            assert len([word for word in step.split() if any(letter.isalpha() for letter in word)]) <= 5


@pytest.mark.parametrize("text_format", list(TextFormat))
def test_comparison_signs_in_reasoning_stay_as_they_are(text_format: TextFormat) -> None:
    _, family = opened("llama 3")
    target = render_target(rationale("Since a<b>c and x < y, 3."), "a<b>c", family, text_format)
    assert target.count("a<b>c") == 2 and "x < y" in target


@pytest.mark.parametrize("text_format", list(TextFormat))
@pytest.mark.parametrize(
    "last", ["The answer is 13.", "So the final answer is: $\\boxed{13}$", "Answer: 13", "$\\boxed{13}$."]
)
def test_answer_sentence_of_a_sample_is_not_written_twice(text_format: TextFormat, last: str) -> None:
    _, family = opened("llama 3")
    target = render_target(rationale(f"6 + 7 = 13\n{last}"), "13", family, text_format)
    assert target == render_target("6 + 7 = 13", "13", family, text_format)
