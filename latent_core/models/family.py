"""What a chat model's files tell about its conversations: turn ends, thinking, headers, system role. Never by name."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from latent_core.config.chat import DEFAULT_CHAT, ChatConfig, Thinking
from latent_core.dual.storage import is_dual
from latent_core.errors import InputError
from latent_core.loading import NO_CODE
from latent_core.models.chat_template import ChatTemplate, Turn
from latent_core.models.header import header_of, reasoning_frame_of
from latent_core.models.ratio_tokens import FILE_NAME as RATIO_TOKENS_FILE
from latent_core.models.ratio_tokens import RatioTokens
from latent_core.models.thinking import ANSWER, USER, Opening, ThinkingRead, read_thinking
from latent_core.think_marks import THINK_PAIRS

SETTINGS_FILE = "chat_settings.json"
"""In a model's directory: the `ChatConfig` that it is read with, where that is not the default."""


@dataclass(frozen=True)
class ChatFamily:
    """How a model's conversations are written.

    `end_of_turn` is the token that closes a turn; `stop_ids` are all that end a completion. `think_start`/`think_end`
    are None for a model that does not reason between think marks, whatever its vocabulary holds; `opens_think` says
    whether the template's own generation prompt already ends in an open think mark.
    """

    end_of_turn: str
    end_of_turn_id: int
    stop_ids: tuple[int, ...]
    pad_id: int
    think_start: str | None
    think_end: str | None
    think_start_id: int | None
    think_end_id: int | None
    opens_think: bool
    has_system_role: bool
    header: str = ""
    """What the model writes after its prompt and before its words, as the template has it (harmony's channel)."""
    reasoning_frame: tuple[str, str] | None = None
    """Of a model that is not started inside its reasoning: the texts around one that it may write all the same."""
    date: str = DEFAULT_CHAT.date
    """What the template is told to be today."""
    options: tuple[tuple[str, bool], ...] = ()
    """Switches of the template that are set whenever it is rendered."""
    ratio_tokens: RatioTokens | None = None
    """The tokens that tell the model its ratio; None where the suffix does."""
    peculiar: dict[str, Any] = field(default_factory=dict, compare=False)
    """What the model's files and this family's earliest reading do not settle; see `identity`."""

    @property
    def thinks(self) -> bool:
        return self.think_end is not None

    @property
    def echoes(self) -> bool:
        """Whether the model writes the token of its ratio first, before its think mark."""
        return self.ratio_tokens is not None and self.ratio_tokens.echoes

    def without_echo(self, ids: Sequence[int]) -> tuple[float | None, Sequence[int]]:
        """The ratio that a completion's ids name first, and the ids after it, and after the think mark it opens.

        None, for a completion that names none; models that do not echo name none, and open their think mark elsewhere.
        """
        if self.ratio_tokens is None or not self.echoes:
            return None, ids
        named = self.ratio_tokens.ratio_of.get(ids[0]) if ids else None
        rest = ids if named is None else ids[1:]
        return named, rest[1:] if self.thinks and rest and rest[0] == self.think_start_id else rest

    def render(self, turns: Sequence[Turn], tokenizer: Any, *, add_generation_prompt: bool = False) -> str:
        """A conversation as the model's template writes it, at the family's date and with its switches."""
        template = ChatTemplate(tokenizer, self.date)
        return template.render(turns, add_generation_prompt=add_generation_prompt, options=self.options)

    def identity(self) -> dict[str, Any]:
        """What belongs into the identity of a model beside its content; empty for most.

        Families were first read from the tokenizer's vocabulary, without the clock, headers, switches and
        generation_config.json: where these say nothing else, results keep the fingerprints they were published under.
        """
        return self.peculiar


def load_tokenizer(model_dir: Path) -> Any:
    """The model's tokenizer, from local files only; raises InputError when the directory holds none."""
    from transformers import AutoTokenizer

    if not model_dir.is_dir():  # transformers would take the path for a hub id and complain about its form
        raise InputError(f"model: {model_dir} is not a directory; give the directory that holds the tokenizer's files")
    try:
        tokenizer = AutoTokenizer.from_pretrained(model_dir, local_files_only=True, **NO_CODE)
    except (OSError, ValueError) as error:
        raise InputError(f"model: no tokenizer could be loaded from {model_dir} ({error})") from error
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # what transformers makes up from some config.json alone
        raise InputError(f"model: {model_dir} holds no tokenizer; copy tokenizer.json beside the model's weights")
    return tokenizer


def open_family(model_dir: Path, chat: ChatConfig | None = None) -> tuple[Any, ChatFamily]:
    """A model's tokenizer, and the family that its directory tells; `chat` stands for the settings that lie there.

    Raises InputError as `load_tokenizer` and `chat_family` do.
    """
    tokenizer = load_tokenizer(model_dir)
    settings = settings_in(model_dir) if chat is None else chat
    family = chat_family(tokenizer, settings, stop_ids_in(model_dir), is_dual=is_dual(model_dir))
    ratio_tokens = RatioTokens.find(model_dir)
    if ratio_tokens is None:
        return tokenizer, family
    ratio_tokens.check(tokenizer, f"model: {model_dir / RATIO_TOKENS_FILE}")
    return tokenizer, replace(family, ratio_tokens=ratio_tokens)


def settings_in(model_dir: Path) -> ChatConfig:
    """The settings that a model's directory carries; the default ones where it has none."""
    path = model_dir / SETTINGS_FILE
    if not path.is_file():
        return DEFAULT_CHAT
    try:
        return ChatConfig.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"model: {path} cannot be read ({error}); restore the file") from error


def stop_ids_in(model_dir: Path) -> tuple[int, ...]:
    """The ids that end a completion by generation_config.json or, where that names none, config.json; ascending.

    Raises InputError for what is no token id.
    """
    for name in ("generation_config.json", "config.json"):
        path = model_dir / name
        if not path.is_file():
            continue
        try:
            said = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
        except (ValueError, AttributeError) as error:
            raise InputError(f"model: {path} is no JSON object ({error}); restore the file") from error
        if said is None:
            continue
        ids = said if isinstance(said, list) else [said]
        if not all(isinstance(item, int) and not isinstance(item, bool) and item >= 0 for item in ids):
            raise InputError(f"model: eos_token_id in {path} is {said!r}; give a token id or a list of them")
        return tuple(sorted(set(ids)))
    return ()


def chat_family(
    tokenizer: Any, chat: ChatConfig = DEFAULT_CHAT, stop_ids: Collection[int] = (), *, is_dual: bool = False
) -> ChatFamily:
    """Read the family off a transformers tokenizer by rendering probe conversations.

    `stop_ids` end a completion beside the turn's end and the tokenizer's eos. A dual model always thinks: its latents
    stand between the marks. Raises InputError when the tokenizer has no chat template, when that does not end a turn
    with a single token, or when it cannot be what `chat` wants.
    """
    if not tokenizer.chat_template:
        raise InputError("model: its tokenizer has no chat template; add chat_template.jinja to the model directory")
    if is_dual and chat.thinking is Thinking.OFF:
        raise InputError("chat.thinking: is off, but a dual model reasons between its think marks; leave it at auto")
    template = ChatTemplate(tokenizer, chat.date)
    thinking = read_thinking(template, Thinking.ON if is_dual else chat.thinking)
    end_id = _end_of_turn_id(template, thinking)
    header = header_of(template, thinking)
    start, end = thinking.pair if thinking.pair is not None and thinking.thinks else (None, None)
    known = {end_id} | ({int(tokenizer.eos_token_id)} if tokenizer.eos_token_id is not None else set())
    more = sorted(set(stop_ids) - known)
    family = ChatFamily(
        end_of_turn=tokenizer.convert_ids_to_tokens(end_id),
        end_of_turn_id=end_id,
        stop_ids=tuple(sorted(known | set(stop_ids))),
        pad_id=int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end_id),
        think_start=start,
        think_end=end,
        think_start_id=_single_id(tokenizer, start),
        think_end_id=_single_id(tokenizer, end),
        opens_think=thinking.thinks and thinking.opening is Opening.OPEN,
        has_system_role=_has_system_role(template, thinking),
        header=header,
        reasoning_frame=None if thinking.thinks else reasoning_frame_of(template, thinking, header),
        date=chat.date,
        options=thinking.options,
    )
    family.peculiar.update(_peculiarities(family, template, thinking, more))
    return family


def _peculiarities(
    family: ChatFamily, template: ChatTemplate, thinking: ThinkingRead, more_stops: Sequence[int]
) -> dict[str, Any]:
    """See `ChatFamily.identity`."""
    found: dict[str, Any] = {}
    if _reads_clock(template.tokenizer, family):
        found["date"] = family.date
    if family.options:
        found["options"] = dict(family.options)
    if family.header:
        found["header"] = family.header
    if more_stops:
        found["stop_ids"] = list(more_stops)
    vocabulary = template.tokenizer.get_vocab()
    listed = next((pair for pair in THINK_PAIRS if all(mark in vocabulary for mark in pair)), None)
    read = None if not thinking.thinks else thinking.pair
    if read != listed:
        found["think_marks"] = None if read is None else list(read)
    return found


def _reads_clock(tokenizer: Any, family: ChatFamily) -> bool:
    """Whether a prompt depends on the day: one as `prompts.render_prompt` writes it, worked examples included."""
    template = ChatTemplate(tokenizer, family.date)
    user, assistant = {"role": "user", "content": USER}, {"role": "assistant", "content": ANSWER}
    turns = [user, assistant, user]
    if family.has_system_role:
        turns.insert(0, {"role": "system", "content": ANSWER})
    for shown in (turns, [turn for turn in turns[:-1] if turn is not assistant]):
        template.attempt(shown, add_generation_prompt=True, options=family.options)
    return template.clock.was_read


def _end_of_turn_id(template: ChatTemplate, thinking: ThinkingRead) -> int:
    tokenizer = template.tokenizer
    turns = [{"role": "user", "content": USER}, {"role": "assistant", "content": ANSWER}]
    closed = template.require(turns, options=thinking.options)
    _, answered, tail = closed.rpartition(ANSWER)
    if not answered:
        raise InputError(
            f"model: the chat template leaves out the assistant's words, it renders {closed!r}; replace it"
        )
    tail_ids = tokenizer.encode(tail.lstrip(), add_special_tokens=False)
    if not tail_ids or tail_ids[0] not in set(tokenizer.all_special_ids) | _added_special_ids(tokenizer):
        raise InputError(
            f"model: the chat template ends a turn with {tail!r}, which does not start with a special token"
        )
    return int(tail_ids[0])


def _added_special_ids(tokenizer: Any) -> set[int]:
    return {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}


def _single_id(tokenizer: Any, token: str | None) -> int | None:
    return None if token is None else int(tokenizer.convert_tokens_to_ids(token))


def _has_system_role(template: ChatTemplate, thinking: ThinkingRead) -> bool:
    """Some templates raise for a system turn (Gemma's), others leave it out."""
    turns = [{"role": "system", "content": ANSWER}, {"role": "user", "content": USER}]
    return ANSWER in template.attempt(turns, options=thinking.options)
