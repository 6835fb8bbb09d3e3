r"""Token ids of many similar texts, and back: words are tokenised once and remembered, with the ids whole texts have.

A row costs the `tokenizers` library as much as everything else that the pipeline does with it several times over, and
a corpus repeats a few thousand words. A byte-level BPE never looks across a cut of its pre-tokenizer, and the usual
patterns always cut before a single space between two other characters. Tokenizers for which that is not known to hold
encode whole texts. Decoding is a table look-up for byte-level tokenizers.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from latent_core.models import tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

REMEMBERED_WORDS = 65_536  # bounds the memory to some 20 MB
LONGEST_WORD = 128  # characters; a template's marks make some long ones, formulas of that length rarely come again
_BETWEEN_WORDS = re.compile(r"(?<=[!-~]) (?=[!-~])")
# Patterns of which no alternative goes on from a visible character into a space, or looks behind one: those of Llama 3
# and Qwen. (GPT-2's, which means the same here, is built into ByteLevel.)
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_KNOWN_PATTERNS = frozenset(
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    for digits in ("", "{1,3}")
)


class WordwiseEncoder:
    """Encodes as `tokens.encode` does, word by word where that is known to give the same ids.

    The tokenizer must stay as it is from here on.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        backend = tokenizer.backend_tokenizer if tokenizer.is_fast else None
        self.by_words = backend is not None and parts_at_spaces(backend)
        self._first: dict[str, bytes] = {}  # ids of words that begin a text, as bytes of int32: joined in one call
        self._following: dict[str, bytes] = {}  # ids of words with the space before them

    def encode(self, text: str) -> list[int]:
        """Token ids of rendered text; its special tokens are recognised, none are added."""
        return self.encode_packed(text).tolist()

    def encode_packed(self, text: str) -> array[int]:
        """The same as an array of int32."""
        ids = array("i")
        ids.frombytes(self._packed(text))
        return ids

    def count(self, text: str) -> int:
        """How many tokens a text has."""
        return len(self._packed(text)) // 4

    def _packed(self, text: str) -> bytes:
        if not self.by_words:
            return self._whole(text)
        first, *words = text.split(" ") if _plain(text) else _BETWEEN_WORDS.split(text)
        try:
            return b"".join([self._first[first], *map(self._following.__getitem__, words)])
        except KeyError:
            following = self._following
            packed = [self._learn(self._first, first, "")]
            packed += [following.get(word) or self._learn(following, word, " ") for word in words]
            return b"".join(packed)

    def _learn(self, known: dict[str, bytes], word: str, before: str) -> bytes:
        packed = known.get(word)
        if packed is None:
            packed = self._whole(before + word)
            if len(word) <= LONGEST_WORD and len(known) < REMEMBERED_WORDS:
                known[word] = packed
        return packed

    def _whole(self, text: str) -> bytes:
        return array("i", tokens.encode(text, self._tokenizer)).tobytes()


def _plain(text: str) -> bool:
    """Whether every space of the text stands between two visible ASCII characters, as in most prose."""
    return (
        text.isascii()
        and "  " not in text
        and not text.startswith(" ")
        and not text.endswith(" ")
        and (text.isprintable() or ("\n " not in text and " \n" not in text and text.replace("\n", "").isprintable()))
    )


def parts_at_spaces(backend: Tokenizer) -> bool:
    """Whether a tokenizer is known to encode the two sides of a space between visible characters independently."""
    from tokenizers import models, normalizers

    model = backend.model
    if not isinstance(model, models.BPE) or model.dropout:
        return False
    if backend.normalizer is not None and not isinstance(backend.normalizer, normalizers.NFC):
        return False
    if backend.truncation is not None or backend.padding is not None or backend.pre_tokenizer is None:
        return False
    state = json.loads(backend.pre_tokenizer.__getstate__())
    steps = state["pretokenizers"] if state["type"] == "Sequence" else [state]
    added = backend.get_added_tokens_decoder().values()
    return (
        steps[-1]["type"] == "ByteLevel"
        and any(_cuts(step) for step in steps)
        and all(_harmless(step) for step in steps)
        and not any(
            token.lstrip or token.rstrip or token.single_word or re.search(r"\s", token.content) for token in added
        )
    )


def _cuts(step: dict[str, Any]) -> bool:
    """Whether a step of the pre-tokenizer cuts before such a space."""
    if step["type"] == "ByteLevel":
        return bool(step.get("use_regex", True))
    return (
        step["type"] == "Split"
        and step["pattern"].get("Regex") in _KNOWN_PATTERNS
        and step["behavior"] == "Isolated"
        and not step["invert"]
    )


def _harmless(step: dict[str, Any]) -> bool:
    """Whether a step neither joins, moves nor drops anything, and depends on nothing beyond such a space."""
    if step["type"] == "ByteLevel":
        return not step["add_prefix_space"]
    return step["type"] == "Digits" or _cuts(step)


class BytewiseDecoder:
    """Decodes as `tokens.decode` does, from the bytes of each token where the tokenizer is a byte-level one."""

    def __init__(self, tokenizer: Any) -> None:
        from tokenizers import decoders

        self._tokenizer = tokenizer
        backend = tokenizer.backend_tokenizer if tokenizer.is_fast else None
        self.by_bytes = backend is not None and isinstance(backend.decoder, decoders.ByteLevel)
        self._known: dict[int, bytes] = {}  # no larger than the vocabulary

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids as it was, special tokens included."""
        if not self.by_bytes:
            return tokens.decode(ids, self._tokenizer)
        try:
            return b"".join(map(self._known.__getitem__, ids)).decode("utf-8", "replace")
        except KeyError:
            return b"".join([self._bytes(token_id) for token_id in ids]).decode("utf-8", "replace")

    def _bytes(self, token_id: int) -> bytes:
        known = self._known.get(token_id)
        if known is None:
            token = self._tokenizer.backend_tokenizer.id_to_token(token_id) or ""  # the library skips unknown ids, too
            spelled = [_BYTES.get(character) for character in token]
            # A token with some character outside the alphabet is an added one, and stands for its own characters.
            known = token.encode() if None in spelled else bytes(byte for byte in spelled if byte is not None)
            self._known[token_id] = known
        return known


def _byte_alphabet() -> dict[str, int]:
    """Byte-level spelling (GPT-2): a visible Latin-1 character is its own byte, the other bytes follow from 256 on."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTES = _byte_alphabet()
