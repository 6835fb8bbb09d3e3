"""Cuts a token sequence longer than the encoder's window at sentence ends (llmlingua 0.2.2, `__chunk_context`)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

CHUNK_SPECIAL_TOKENS = 2  # room for the opening and closing special tokens


def chunk_bounds(tokens: Sequence[str], ends: Collection[str], window: int) -> Iterator[tuple[int, int]]:
    """Yield [start, stop) of each chunk of `tokens`; `window` counts positions, special tokens included.

    A sequence of at most window - 2 tokens is one chunk. Otherwise a chunk ends after the last token in `ends` that
    still fits. The reference lets window - 1 tokens fit, so that the encoder's truncation may cut the closing special
    token; that off-by-one is kept.
    """
    length = window - CHUNK_SPECIAL_TOKENS
    start = 0
    while start < len(tokens):
        if start + length > len(tokens) - 1:
            yield start, len(tokens)
            return
        last = start + length
        while last > start and tokens[last] not in ends:
            last -= 1
        if last == start:  # the reference never looks at a chunk's first token
            last = start + length
        yield start, last + 1
        start = last + 1
