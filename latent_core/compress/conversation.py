"""How a labelling model meets a question, its reasoning and its answer: as plain text, or as its own conversation.

A model that was trained on conversations only is sure of nothing outside one, and then all its probabilities are noise.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from latent_core import prompts
from latent_core.models.family import load_tokenizer, open_family

_REASONING = "Therefore"  # stands for the reasoning while the target is rendered


class Conversation(NamedTuple):
    """`prompt` renders what stands before the reasoning; `cue` what asks for a gold answer after it, and the answer."""

    prompt: Callable[[str], str]
    cue: Callable[[str], tuple[str, str]]


def own_conversation(model_dir: Path) -> Conversation:
    """The model's chat template, exactly as it is asked and answers in collection. Raises InputError without one."""
    tokenizer, family = open_family(model_dir)

    def cue(gold: str) -> tuple[str, str]:
        target = prompts.render_target(_REASONING, gold, family)
        return _cut(target.partition(_REASONING)[2].removesuffix(family.end_of_turn), gold)

    opening = f"{prompts.ratio_echo(1.0, family)}{family.header}"
    return Conversation(lambda question: prompts.render_prompt(question, tokenizer, family) + opening, cue)


def _cut(closing: str, gold: str) -> tuple[str, str]:
    """The closing before the answer, and from the answer on: the sign that ends it tells 4 from 42."""
    start = closing.rindex(f"{{{gold}}}") + 1
    return closing[:start], closing[start:]


# The question on a line of its own, and a sentence that states the answer: for models without a chat template.
PLAIN_TEXT = Conversation(
    lambda question: f"{question}\n", lambda gold: _cut(f"\n\n{prompts.render_answer(gold)}", gold)
)


def conversation_of(model_dir: Path) -> Conversation:
    """The model's own conversation where it has a chat template, else plain text."""
    return PLAIN_TEXT if load_tokenizer(model_dir).chat_template is None else own_conversation(model_dir)
