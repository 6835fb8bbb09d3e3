"""Text from outside that spells a control token: encoded as the characters it has, never as the token.

A question, or what an environment says, may hold `</think>` or `<|im_end|>`. As the id of that name it would end a
turn, or move a dual model to another phase.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any

from latent_core.errors import InputError
from latent_core.models.family import ChatFamily

_NONCHARACTERS = [chr(code) for code in range(0xFDD0, 0xFDF0)]  # Unicode promises never to give them a meaning


class ControlTokens:
    """The tokens of a model that texts from outside may not turn into: special ones, think marks, ratio tokens."""

    def __init__(self, tokenizer: Any, family: ChatFamily) -> None:
        special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        marks = {mark for mark in (family.think_start, family.think_end, family.end_of_turn) if mark}
        ratios = set() if family.ratio_tokens is None else set(family.ratio_tokens.texts)
        self._spellings = sorted(special | marks | ratios | set(tokenizer.all_special_tokens), key=len, reverse=True)
        self.ids = frozenset(int(tokenizer.convert_tokens_to_ids(text)) for text in self._spellings)

    def is_spelled_in(self, text: str) -> bool:
        """Whether a text holds the spelling of a control token."""
        return any(spelling in text for spelling in self._spellings)

    def encode_around(
        self, render: Callable[[str], str], outside: str, encode: Callable[[str], array[int]]
    ) -> array[int]:
        """The ids of `render(outside)`, in which `outside` gives no control token.

        Where it spells one, the text is encoded in two pieces that part after the spelling's first character.

        Raises InputError where a tokenizer makes a control token of something else than its spelling.
        """
        places = self._places(outside)
        if not places:
            return encode(render(outside))
        rendered = render(outside)
        cut = next(mark for mark in _NONCHARACTERS if mark not in rendered)
        starts = [0, *places]
        pieces = [outside[first:stop] for first, stop in zip(starts, [*places, len(outside)], strict=True)]
        ids = array("i", [token for piece in render(cut.join(pieces)).split(cut) for token in encode(piece)])
        if self._count(ids) != self._count(encode(render(""))):
            near = outside[max(0, places[0] - 41) :]
            raise InputError(f"question: {near[:80]!r} becomes a control token of the model; write it otherwise")
        return ids

    def _places(self, text: str) -> list[int]:
        """Where to cut: behind the first character of every spelling, found from left to right."""
        places: list[int] = []
        while (found := self._first(text, places[-1] if places else 0)) is not None:
            places.append(found + 1)
        return places

    def _first(self, text: str, start: int) -> int | None:
        """Where the next spelling begins; a spelling of one character cannot be cut, and is refused by the count."""
        found = [place for spelling in self._spellings if (place := text.find(spelling, start)) >= 0]
        return min(found) if found else None

    def _count(self, ids: Sequence[int]) -> int:
        return sum(token in self.ids for token in ids)
