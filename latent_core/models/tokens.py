"""Text to token ids and back, with nothing added and nothing cleaned up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def decode(ids: Sequence[int], tokenizer: Any) -> str:
    """The text of token ids as it was, special tokens included."""
    if tokenizer.is_fast:  # see `encode`
        return str(tokenizer.backend_tokenizer.decode(list(ids), skip_special_tokens=False))
    text: str = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text


def encode(text: str, tokenizer: Any) -> list[int]:
    """Token ids of rendered text; its special tokens are recognised, none are added."""
    # What transformers does around a fast tokenizer's own call costs as much as a third of it, and this is called for
    # every row. A backend that was told to cut or pad texts, by some other caller, is left to transformers to reset.
    backend = tokenizer.backend_tokenizer if tokenizer.is_fast else None
    if backend is None or backend.truncation is not None or backend.padding is not None:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
        return ids
    return list(backend.encode(text, add_special_tokens=False).ids)
