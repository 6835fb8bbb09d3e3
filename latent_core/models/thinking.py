"""Whether a model reasons between think marks, as its chat template renders it: the vocabulary alone says nothing.

Instruct models own think tokens that they never write, hybrid ones have a switch, and some templates open the
reasoning, or close an empty one, in the prompt itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from latent_core.config.chat import Thinking
from latent_core.errors import InputError
from latent_core.models.chat_template import ChatTemplate
from latent_core.models.mini import CHAT_TEMPLATE as OUR_TEMPLATE
from latent_core.think_marks import THINK_PAIRS

USER, ANSWER, REASONING, NEXT_USER = "Wherefore", "Therefore", "Hitherto", "Whereupon"
"""The words of probe conversations."""
SWITCHES = ("enable_thinking", "thinking")  # Qwen3, SmolLM3, GLM; DeepSeek V3.1, Granite
REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")  # where messages keep their reasoning apart
Pair = tuple[str, str]
Options = tuple[tuple[str, bool], ...]


class Opening(StrEnum):
    """Where a generation prompt leaves the model."""

    OPEN = "open"  # inside its reasoning
    CLOSED = "closed"  # behind an empty one
    SILENT = "silent"  # before anything


@dataclass(frozen=True)
class ThinkingRead:
    """`pair` is None where the tokenizer has no think tokens; `options` are the template's switches to set."""

    pair: Pair | None
    thinks: bool
    opening: Opening
    options: Options = ()


def question_prompt(template: ChatTemplate, options: Sequence[tuple[str, bool]] = ()) -> str:
    """A question and the generation prompt."""
    turns = [{"role": "user", "content": USER}]
    return template.require(turns, add_generation_prompt=True, options=options)


def generation_prompt_of(text: str) -> str:
    """What follows the question in a rendered prompt: the end of its turn, and the generation prompt."""
    return text.rpartition(USER)[2]


def read_thinking(template: ChatTemplate, wanted: Thinking) -> ThinkingRead:
    """Whether the model shall reason between think marks, and how its prompt gets there.

    Raises InputError where that contradicts the template or the tokenizer.
    """
    owned = [pair for pair in THINK_PAIRS if _are_tokens(template.tokenizer, pair)]
    if not owned:
        return _without_marks(template, wanted)
    readings = [_Reading(template, pair) for pair in owned]
    reading = next((reading for reading in readings if reading.knows_marks), readings[0])
    return reading.as_wanted(wanted)


class _Reading:
    """What a template does with one pair of marks."""

    def __init__(self, template: ChatTemplate, pair: Pair) -> None:
        self._template = template
        self._pair = pair
        self._switch = next((name for name in SWITCHES if self._reads(name)), None)
        self._default = self._opening(())
        self.knows_marks = self._default is not Opening.SILENT or self._switch is not None or self._tells_reasoning()

    def as_wanted(self, wanted: Thinking) -> ThinkingRead:
        thinks = self._thinks_by_default() if wanted is Thinking.AUTO else wanted is Thinking.ON
        forbidden = Opening.CLOSED if thinks else Opening.OPEN
        ways: list[Options] = [()] if thinks == self._thinks_by_default() or self._switch is None else []
        if self._switch is not None:
            ways.append(((self._switch, thinks),))
        for options in ways:
            opening = self._opening(options)
            if opening is not forbidden:
                return ThinkingRead(self._pair, thinks, opening, options)
        prompt = generation_prompt_of(question_prompt(self._template))
        said = "closes the reasoning before the model says anything" if thinks else "always opens the reasoning"
        raise InputError(
            f"chat.thinking: the model shall {'think' if thinks else 'not think'}, but its chat template {said} "
            f"(its generation prompt is {prompt!r}, and it has no switch "
            f"{' or '.join(SWITCHES)}); set {'off' if thinks else 'on'} or auto, or replace the template"
        )

    def _thinks_by_default(self) -> bool:
        if self._default is not Opening.SILENT:
            return self._default is Opening.OPEN
        if self._switch is not None:  # the default is what one of the switch's positions is
            plain, on, off = (question_prompt(self._template, options) for options in ((), *self._positions()))
            if plain in (on, off):
                return plain == on
        return self._tells_reasoning() or self._is_ours()

    def _positions(self) -> tuple[Options, Options]:
        assert self._switch is not None
        return ((self._switch, True),), ((self._switch, False),)

    def _reads(self, switch: str) -> bool:
        """Whether a variable of the template says if the model thinks in these marks."""
        on, off = (question_prompt(self._template, ((switch, value),)) for value in (True, False))
        marks = {self._opening(((switch, value),)) for value in (True, False)}
        told = len({text.count(self._pair[0]) for text in (on, off)}) == 2  # Granite: the system turn asks for it
        return on != off and (len(marks) == 2 or told or self._tells_reasoning())

    def _opening(self, options: Options) -> Opening:
        text = generation_prompt_of(question_prompt(self._template, options))
        start, end = (text.rfind(mark) for mark in self._pair)
        if start == end:  # both are absent
            return Opening.SILENT
        return Opening.OPEN if start > end else Opening.CLOSED

    def _tells_reasoning(self) -> bool:
        """Whether the template knows a message's reasoning: it writes it between the marks, or leaves it out later."""
        start, end = self._pair
        question = {"role": "user", "content": USER}
        for name in REASONING_FIELDS:
            text = self._template.attempt([question, {"role": "assistant", "content": ANSWER, name: REASONING}])
            before, found, after = text.rpartition(REASONING)
            if found and before.rstrip().endswith(start) and after.lstrip().startswith(end):
                return True
        marked = {"role": "assistant", "content": f"{start}\n{REASONING}\n{end}\n\n{ANSWER}"}
        text = self._template.attempt([question, marked, {"role": "user", "content": NEXT_USER}])
        return ANSWER in text and REASONING not in text

    def _is_ours(self) -> bool:
        """The embedded model's template says nothing of thinking, and all models that have it think."""
        return bool(self._template.tokenizer.chat_template == OUR_TEMPLATE)


def _without_marks(template: ChatTemplate, wanted: Thinking) -> ThinkingRead:
    text = generation_prompt_of(question_prompt(template))
    for start, end in THINK_PAIRS:
        if text.rfind(start) > text.rfind(end):
            raise InputError(
                f"model: its chat template opens the reasoning with {start}, but {start} and {end} are not tokens of "
                "their own in its tokenizer; add both to the tokenizer, or replace the template"
            )
    if wanted is Thinking.ON:
        raise InputError(
            "chat.thinking: the model shall think, but its tokenizer has no think tokens "
            f"({', '.join(' '.join(pair) for pair in THINK_PAIRS)}); set off or auto"
        )
    return ThinkingRead(None, False, Opening.SILENT)


def _are_tokens(tokenizer: Any, pair: Pair) -> bool:
    """Whether both marks are tokens of their own, which the tokenizer finds in a text."""
    vocabulary = tokenizer.get_vocab()
    return all(mark in vocabulary for mark in pair) and all(
        tokenizer.encode(mark, add_special_tokens=False) == [vocabulary[mark]] for mark in pair
    )
