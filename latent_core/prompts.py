"""Every prompt and target string, once, for collection, training, scoring and evaluation (arXiv 2502.12067)."""

from __future__ import annotations

from typing import Any

from latent_core.config.tokenskip import Prompting
from latent_core.models.family import ChatFamily

SYSTEM = "You are a helpful assistant."
INSTRUCTION = r"Please reason step by step, and put your final answer within \boxed{}."


def ratio_suffix(ratio: float, family: ChatFamily) -> str:
    """The condition that TokenSkip appends to a question: the ratio between two end-of-turn tokens; empty at 1.0."""
    if ratio == 1.0:
        return ""
    return f"{family.end_of_turn}{ratio:g}{family.end_of_turn}"


def extra_instruction(prompting: Prompting, ratio: float) -> str:
    """What a way of prompting adds to the instruction, in words; empty for the ratio a model was trained to hear."""
    match prompting:
        case Prompting.RATIO:
            return ""
        case Prompting.REDUCE:  # TokenSkip §5.1, "prompt-based reduction"
            return f"Please reduce {round((1 - ratio) * 100)}% of the words in your chain of thought."
        case Prompting.CONCISE:
            return "Be concise: write no more reasoning than the answer needs."
        case Prompting.CHAIN_OF_DRAFT:
            return "For every step keep only a short draft of at most five words."
        case Prompting.SKETCH_OF_THOUGHT:
            return "Sketch the reasoning: variables, equations and arrows between linked ideas instead of sentences."


def render_prompt(
    question: str,
    tokenizer: Any,
    family: ChatFamily,
    *,
    ratio: float = 1.0,
    prompting: Prompting = Prompting.RATIO,
) -> str:
    """The text a model continues: system and user turn, ratio suffix, generation prompt, and an open think mark.

    A thinking model is always started inside its reasoning; where its template does not open the think mark itself, it
    is opened here, so that it is written exactly once.
    """
    extra = extra_instruction(prompting, ratio)
    instruction = f"{INSTRUCTION} {extra}" if extra else INSTRUCTION
    suffix = ratio_suffix(ratio, family) if prompting is Prompting.RATIO else ""
    user = f"{instruction}\n{question}{suffix}"
    if family.has_system_role:
        turns = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user}]
    else:
        turns = [{"role": "user", "content": f"{SYSTEM}\n\n{user}"}]
    text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    if family.thinks and not family.opens_think:
        text += f"{family.think_start}\n"
    return text


def render_answer(answer: str) -> str:
    """The sentence that states an answer."""
    return rf"The final answer is: $\boxed{{{answer}}}$"


def render_target(reasoning: str, answer: str, family: ChatFamily) -> str:
    """What the model shall write after `render_prompt`: reasoning, end of thinking, answer, end of turn."""
    closing = f"{family.think_end}\n\n" if family.thinks else ""
    return f"{render_reasoning(reasoning)}{closing}{render_answer(answer)}{family.end_of_turn}"


def render_reasoning(reasoning: str) -> str:
    """The part of a target before the end of thinking."""
    return f"{reasoning.strip()}\n\n"


def encode(text: str, tokenizer: Any) -> list[int]:
    """Token ids of rendered text; its special tokens are recognised, none are added."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids
