"""What an assistant's turn has before its words, beyond the generation prompt: a header the model itself must write.

Harmony's `<|channel|>final<|message|>` is one; so is the empty pair of think marks of some instruct models.
"""

from __future__ import annotations

from latent_core.errors import InputError
from latent_core.models.chat_template import ChatTemplate
from latent_core.models.thinking import (
    ANSWER,
    REASONING,
    REASONING_FIELDS,
    USER,
    Opening,
    ThinkingRead,
    generation_prompt_of,
    question_prompt,
)


def header_of(template: ChatTemplate, thinking: ThinkingRead) -> str:
    """The text between the generation prompt and the assistant's words; marks of thinking are no part of it.

    Raises InputError where the template does not go on as its generation prompt begins, and for a header before the
    reasoning of a model that thinks.
    """
    opening = question_prompt(template, thinking.options)
    question = {"role": "user", "content": USER}
    answered = template.require([question, {"role": "assistant", "content": ANSWER}], options=thinking.options)
    words = answered.rpartition(ANSWER)[0]
    if thinking.thinks:
        header = _before_reasoning(words, opening, thinking)
        if header.strip():
            raise InputError(
                f"model: the chat template writes {header!r} before the reasoning, which is not supported; "
                "set chat.thinking: off, or replace the template"
            )
        return ""
    if words.startswith(opening):
        return words[len(opening) :]
    # A prompt that closes an empty reasoning need not stand that way in what was said.
    if thinking.opening is Opening.CLOSED and _before_reasoning(words, opening, thinking).strip() == "":
        return ""
    raise _contradiction(words, opening)


def reasoning_frame_of(template: ChatTemplate, thinking: ThinkingRead, header: str) -> tuple[str, str] | None:
    """The texts around a reasoning that a model may write before its words: its idle think marks, or a channel."""
    if thinking.pair is not None:
        return thinking.pair
    if not header.strip():
        return None
    opening = question_prompt(template, thinking.options)
    question = {"role": "user", "content": USER}
    for name in REASONING_FIELDS:
        turns = [question, {"role": "assistant", "content": ANSWER, name: REASONING}]
        text = template.attempt(turns, options=thinking.options)
        before, found, after = text.rpartition(REASONING)
        if found and before.startswith(opening) and ANSWER in after:
            return before[len(opening) :], after.partition(ANSWER)[0]
    return None


def apart(text: str, header: str, frame: tuple[str, str] | None) -> tuple[str | None, str | None]:
    """A completion's reasoning, None where it has none of its own, and its words, None where it never came to them."""
    text = _without(text, header)
    if frame is not None and text.lstrip().startswith(frame[0].strip()):
        reasoning, closed, words = text.lstrip().removeprefix(frame[0].strip()).partition(frame[1].strip())
        return reasoning, words if closed else None
    if header.strip() and header.strip() in text:  # something else came first
        reasoning, _, words = text.partition(header.strip())
        return reasoning, words
    return None, text


def _without(text: str, header: str) -> str:
    if not header.strip():
        return text
    stripped = text.lstrip()
    return stripped.removeprefix(header.strip()) if stripped.startswith(header.strip()) else text


def _before_reasoning(words: str, opening: str, thinking: ThinkingRead) -> str:
    """What stands in `words` after the generation prompt, without any think marks and what is between them."""
    assert thinking.pair is not None
    start, end = thinking.pair
    own = generation_prompt_of(opening)
    mark = own.find(start if start in own else end)
    base = opening if mark < 0 else opening[: len(opening) - len(own) + mark]
    if not words.startswith(base):
        raise _contradiction(words, opening)
    said = words[len(base) :]
    return said.partition(start)[0] if start in said else said.rpartition(end)[2]


def _contradiction(words: str, opening: str) -> InputError:
    return InputError(
        f"model: the chat template prompts an answer with {generation_prompt_of(opening)!r}, but writes "
        f"{words.rpartition(USER)[2]!r} before the assistant's words: these do not fit together; replace the template"
    )
