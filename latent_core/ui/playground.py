"""Models answer one question token by token; what each has written so far is told apart: latent, visible, answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import groupby, zip_longest
from typing import NamedTuple, Protocol

from latent_core import prompts
from latent_core.compress.selection import check_ratio
from latent_core.config.sampling import SamplingConfig
from latent_core.errors import InputError
from latent_core.generate.engine import FinishReason, Request, item_seed
from latent_core.models.readable import ReadableModel

MAX_QUESTION = 4_000  # characters
MAX_NEW_TOKENS = 1_024


class Part(StrEnum):
    """What a stretch of a completion is."""

    LATENT = "latent"
    REASONING = "reasoning"
    ANSWER = "answer"


class Stretch(NamedTuple):
    """Neighbouring tokens of one kind: their ids, and their text (for latents that of their visible sources)."""

    part: Part
    ids: tuple[int, ...]
    text: str


class StreamingEngine(Protocol):
    """An engine that gives a completion's ids as they come."""

    def stream(self, request: Request, sampling: SamplingConfig) -> Iterator[int]: ...


@dataclass(frozen=True)
class Player:
    """A model that plays: named for the page, readable, and able to write; `remark` is what a reader must know."""

    name: str
    remark: str
    model: ReadableModel
    engine: StreamingEngine


@dataclass(frozen=True)
class Progress:
    """A completion so far; `finish` is None while it goes on."""

    player: Player
    ids: tuple[int, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    finish: FinishReason | None = None

    @property
    def latent(self) -> int:
        """Latent tokens so far."""
        return sum(len(stretch.ids) for stretch in self.stretches if stretch.part is Part.LATENT)


def play(question: str, ratio: float, max_new_tokens: int, players: Sequence[Player]) -> Iterator[tuple[Progress, ...]]:
    """Every player's progress after each step, one token of each a step; greedy, so a question has one answer.

    Raises InputError for an empty or too long question, a ratio outside (0, 1] and too many tokens.
    """
    check_ratio(ratio)
    if not question.strip():
        raise InputError("question: it is empty; write one first")
    if len(question) > MAX_QUESTION:
        raise InputError(f"question: {len(question):,} characters; the page takes at most {MAX_QUESTION:,}")
    if not 1 <= max_new_tokens <= MAX_NEW_TOKENS:
        raise InputError(f"max_new_tokens: must lie in [1, {MAX_NEW_TOKENS}], got {max_new_tokens}")
    sampling = SamplingConfig(max_new_tokens=max_new_tokens)
    streams = [player.engine.stream(_request(question, ratio, player.model), sampling) for player in players]
    states = [Progress(player) for player in players]
    yield tuple(states)
    for tokens in zip_longest(*streams):
        for index, (token, player) in enumerate(zip(tokens, players, strict=True)):
            if token is not None:
                ids = (*states[index].ids, int(token))
                ended = token in player.model.family.stop_ids
                states[index] = Progress(player, ids, stretches(ids, player.model), "stop" if ended else None)
            elif states[index].finish is None:
                states[index] = replace(states[index], finish="length")
        yield tuple(states)
    yield tuple(state if state.finish else replace(state, finish="length") for state in states)


def stretches(ids: Sequence[int], model: ReadableModel) -> tuple[Stretch, ...]:
    """A completion's tokens by what they are; think marks, a ratio named first and the stop token belong to none."""
    family, vocabulary = model.family, model.vocabulary
    marks = {family.think_start_id, family.think_end_id, *family.stop_ids}
    thinking = family.thinks
    parts: list[tuple[Part, int]] = []
    for token in family.without_echo(ids)[1]:
        if token == family.think_end_id:
            thinking = False
        if token in marks:
            continue
        latent = vocabulary is not None and token >= vocabulary.visible_size
        parts.append((Part.LATENT if latent else Part.REASONING if thinking else Part.ANSWER, token))
    found = []
    for part, group in groupby(parts, key=lambda item: item[0]):
        run = tuple(token for _, token in group)
        found.append(Stretch(part, run, model.decode(run)))
    return tuple(found)


def _request(question: str, ratio: float, model: ReadableModel) -> Request:
    render = partial(prompts.render_prompt, tokenizer=model.tokenizer, family=model.family, ratio=ratio)
    return Request(tuple(model.encode_around(render, question)), item_seed(0, question, 0))
