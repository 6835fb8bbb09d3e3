"""What a chat model's tokenizer tells about its conversations: turn ends, thinking, system role. Never by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latent_core.errors import InputError
from latent_core.loading import NO_CODE

THINK_PAIRS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("[THINK]", "[/THINK]"),
    ("<|think|>", "<|/think|>"),
)
_PROBE_USER, _PROBE_ANSWER = "Wherefore", "Therefore"


@dataclass(frozen=True)
class ChatFamily:
    """How a model's conversations are written.

    `end_of_turn` is the token that closes a turn; `think_start`/`think_end` are None for a model without single-token
    think marks; `opens_think` says whether the template's own generation prompt already ends in an open think mark.
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

    @property
    def thinks(self) -> bool:
        return self.think_end is not None


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


def chat_family(tokenizer: Any) -> ChatFamily:
    """Read the family off a transformers tokenizer by rendering probe conversations.

    Raises InputError when the tokenizer has no chat template or its template does not end a turn with a single token.
    """
    if not tokenizer.chat_template:
        raise InputError("model: its tokenizer has no chat template; add chat_template.jinja to the model directory")
    turns = [{"role": "user", "content": _PROBE_USER}, {"role": "assistant", "content": _PROBE_ANSWER}]
    closed = tokenizer.apply_chat_template(turns, tokenize=False)
    _, answered, tail = closed.rpartition(_PROBE_ANSWER)
    if not answered:
        raise InputError(
            f"model: the chat template leaves out the assistant's words, it renders {closed!r}; replace it"
        )
    tail_ids = tokenizer.encode(tail.lstrip(), add_special_tokens=False)
    if not tail_ids or tail_ids[0] not in set(tokenizer.all_special_ids) | _added_special_ids(tokenizer):
        raise InputError(
            f"model: the chat template ends a turn with {tail!r}, which does not start with a special token"
        )
    end_id = int(tail_ids[0])
    opening = tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
    start, end = _think_pair(tokenizer)
    eos = {end_id} | ({int(tokenizer.eos_token_id)} if tokenizer.eos_token_id is not None else set())
    return ChatFamily(
        end_of_turn=tokenizer.convert_ids_to_tokens(end_id),
        end_of_turn_id=end_id,
        stop_ids=tuple(sorted(eos)),
        pad_id=int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end_id),
        think_start=start,
        think_end=end,
        think_start_id=_single_id(tokenizer, start),
        think_end_id=_single_id(tokenizer, end),
        opens_think=start is not None and opening.rstrip().endswith(start),
        has_system_role=_has_system_role(tokenizer),
    )


def _added_special_ids(tokenizer: Any) -> set[int]:
    return {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}


def _think_pair(tokenizer: Any) -> tuple[str | None, str | None]:
    vocabulary = tokenizer.get_vocab()
    return next(((start, end) for start, end in THINK_PAIRS if start in vocabulary and end in vocabulary), (None, None))


def _single_id(tokenizer: Any, token: str | None) -> int | None:
    return None if token is None else int(tokenizer.convert_tokens_to_ids(token))


def _has_system_role(tokenizer: Any) -> bool:
    from jinja2.exceptions import TemplateError

    turns = [{"role": "system", "content": _PROBE_ANSWER}, {"role": "user", "content": _PROBE_USER}]
    try:
        return _PROBE_ANSWER in tokenizer.apply_chat_template(turns, tokenize=False)
    except TemplateError:  # e.g. Gemma's template raises for a system turn
        return False
