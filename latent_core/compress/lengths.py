"""How long a word is: LLMLingua-2 lets each word weigh as many tokens as it costs the model that will read it."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from latent_core.errors import InputError

TokenCounter = Callable[[str], int]

# tiktoken names a cached encoding by the sha1 of its address; this is cl100k_base's.
_CL100K_FILE = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"


class WordLength(StrEnum):
    """Which tokenizer counts a word's tokens."""

    ENCODER = "encoder"  # the compressor's own tokenizer: needs nothing beyond the model directory
    CL100K = "cl100k"  # GPT-3.5's, what llmlingua uses: needs its file in TIKTOKEN_CACHE_DIR


def cl100k_counter() -> TokenCounter:
    """The counter that llmlingua uses. Raises InputError unless TIKTOKEN_CACHE_DIR holds the encoding's file.

    The check comes first because tiktoken would otherwise try to download it.
    """
    folder = os.environ.get("TIKTOKEN_CACHE_DIR")
    if not folder or not Path(folder, _CL100K_FILE).is_file():
        raise InputError(
            f"word_length: cl100k needs TIKTOKEN_CACHE_DIR to be a folder that holds {_CL100K_FILE} (the file "
            "cl100k_base.tiktoken under that name); put it there or use word_length=encoder"
        )
    import tiktoken

    encoding = tiktoken.get_encoding("cl100k_base")
    return lambda text: len(encoding.encode(text, disallowed_special=()))


class CachedCounter:
    """A token counter that counts each distinct word once: a corpus of CoTs repeats a few thousand words."""

    def __init__(self, count: TokenCounter, capacity: int = 200_000) -> None:
        self._count = count
        self._known: dict[str, int] = {}
        self._capacity = capacity  # bounds the memory on endless streams; about 20 MB of short words

    def __call__(self, word: str) -> int:
        length = self._known.get(word)
        if length is None:
            length = self._count(word)
            if len(self._known) < self._capacity:
                self._known[word] = length
        return length
