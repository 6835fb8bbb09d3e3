"""Source text against what a selection kept of it, word by word.

The words' own places decide, not a comparison of two texts: of a word that occurs five times, the one that was kept is
the one that is shown as kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from latent_core.compress.scored import ScoredText
from latent_core.compress.selection import Mask
from latent_core.errors import InputError


@dataclass(frozen=True)
class AlignedWord:
    """A word of the source: `gap` is the text between the word before it and this one, mostly whitespace.

    `tokens` is the word's length in encoder tokens; `window` the number of the encoder window that scored it, from 0.
    """

    gap: str
    word: str
    kept: bool
    keep_probability: float
    tokens: int
    window: int


@dataclass(frozen=True)
class Alignment:
    """All words in order, and the text after the last; their gaps, words and the tail joined are the source."""

    words: tuple[AlignedWord, ...]
    tail: str

    def runs(self) -> Iterator[tuple[str, bool]]:
        """The source in runs that were kept (True) or dropped; a gap belongs to the word that it precedes."""
        run, kept = "", True
        for word in self.words:
            if run and word.kept != kept:
                yield run, kept
                run = ""
            run, kept = run + word.gap + word.word, word.kept
        if run:
            yield run, kept
        if self.tail:
            yield self.tail, True


def align(scored: ScoredText, kept: Sequence[Mask]) -> Alignment:
    """Lay `kept`, one mask a chunk, over the source text.

    Raises InputError when the words are not spans of the source (scored without `spans=True`).
    """
    words = []
    place = 0
    for window, (chunk, mask) in enumerate(zip(scored.chunks, kept, strict=True)):
        if chunk.spans is None:
            raise InputError("spans: words can only be found in their source when it was scored with spans=True")
        rows = zip(
            chunk.spans.tolist(), mask.tolist(), chunk.keep_probability.tolist(), chunk.lengths.tolist(), strict=True
        )
        for (start, end), stays, probability, length in rows:
            words.append(
                AlignedWord(scored.text[place:start], scored.text[start:end], stays, probability, length, window)
            )
            place = end
    return Alignment(tuple(words), scored.text[place:])
