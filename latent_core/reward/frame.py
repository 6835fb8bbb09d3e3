"""The text that a scorer puts around the gold answer, and which of its tokens are the gold's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from latent_core import prompts
from latent_core.config.prompting import TextFormat
from latent_core.errors import InputError
from latent_core.models.family import ChatFamily

_SLOT = "\N{OBJECT REPLACEMENT CHARACTER}"  # stands for the answer while the target is taken apart


@dataclass(frozen=True)
class AnswerFrame:
    """The text around an answer in a target: from the end of thinking to the answer, and after it within the turn."""

    before: str
    after: str


@dataclass(frozen=True)
class Variant:
    """A spelling of the gold: ids from the end of thinking to its last token, and where its own tokens begin."""

    text: str
    ids: tuple[int, ...]
    begin: int


def answer_frame(family: ChatFamily, text_format: TextFormat = TextFormat.BOXED) -> AnswerFrame:
    """Taken from `prompts.render_target`. Raises InputError for a model or a format without an end of thinking."""
    if family.think_end is None or text_format is TextFormat.RAW_TEXT:
        raise InputError(
            "model: a scorer needs a model that reasons between think marks, and a format that has them (boxed or "
            "xml); a model that owns the marks and does not use them can be told to (thinking: on)"
        )
    target = prompts.render_target("", _SLOT, family, text_format).removesuffix(family.end_of_turn)
    before, _, after = target.partition(family.think_end)[2].partition(_SLOT)
    return AnswerFrame(before, after)


def spellings(gold: str, frame: AnswerFrame, tokenizer: Any) -> tuple[Variant, ...]:
    """The gold as it is and after one space, the whole frame tokenised at once, as in training."""
    return tuple(_spelling(text, frame, tokenizer) for text in (gold, f" {gold}"))


def _spelling(text: str, frame: AnswerFrame, tokenizer: Any) -> Variant:
    start, stop = len(frame.before), len(frame.before) + len(text)
    encoding = tokenizer(f"{frame.before}{text}{frame.after}", add_special_tokens=False, return_offsets_mapping=True)
    offsets = encoding["offset_mapping"]
    begin = next(i for i, (_, end) in enumerate(offsets) if end > start)
    last = max(i for i, (first, _) in enumerate(offsets) if first < stop)
    return Variant(text, tuple(encoding["input_ids"][: last + 1]), begin)
