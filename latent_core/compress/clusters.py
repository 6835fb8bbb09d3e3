"""Cutting text of any script: grapheme clusters stay whole, words of scripts without spaces are found.

A grapheme cluster is what a reader takes for one character: a letter with its marks, a conjunct of Devanagari, a joined
emoji, a flag (UAX 29, as in the package `regex`). Chinese, Japanese, Thai, Lao, Khmer and Burmese words come from ICU's
dictionaries (the package `icu4py`, which brings them along). Other scripts that are written without spaces, such as
Javanese or Tai Tham, have no dictionary there: every cluster of them counts as a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import regex

_CLUSTER = regex.compile(r"\X")
# Line break classes SA, AK and AS: lines break between words or syllables that no space divides (UAX 14).
_WITHOUT_SPACES = r"\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{LB=SA}\p{LB=AK}\p{LB=AS}"
_UNSPACED = regex.compile(f"[{_WITHOUT_SPACES}]+")
_WITHOUT_DICTIONARY = regex.compile(r"[[\p{LB=SA}\p{LB=AK}\p{LB=AS}]--[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]]", regex.V1)
# Without any of these every character is a cluster, and every word ends at a space or sign.
_SPECIAL = regex.compile(
    r"[\r\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}\p{GCB=Prepend}\p{GCB=RI}\p{GCB=L}\p{GCB=V}\p{GCB=T}"
    f"{_WITHOUT_SPACES}]"
)
# Vowel signs that are clusters of their own (Burmese visarga) belong to words as letters do.
_LONE_MARK = regex.compile(r"[\p{M}&&[\p{LB=SA}\p{LB=AK}\p{LB=AS}]]", regex.V1)
_SOME_LETTER = "\u1000"
_LOCALE = "und"  # dictionaries go by script, not by language


def is_plain(text: str) -> bool:
    """Whether every character is a cluster of its own, and all scripts of the text divide words."""
    if text.isascii():
        return "\r" not in text
    return _SPECIAL.search("".join(set(text))) is None  # a text has few different characters


def cut(text: str, unit: re.Pattern[str]) -> list[tuple[int, int]]:
    """[start, end) of everything in `text` that matches `unit`, in order.

    The pattern sees one character for each grapheme cluster: its letter or digit, else its first visible character. A
    match that holds words of a script without spaces is cut into these and what stands between them.
    """
    if is_plain(text):
        return [match.span() for match in unit.finditer(text)]
    clusters: list[str] = _CLUSTER.findall(text)
    edges = [0, *accumulate(map(len, clusters))]
    shape = "".join(map(_base, clusters))
    spans: list[tuple[int, int]] = []
    for match in unit.finditer(shape):
        for start, end in _runs(shape, *match.span()):
            inner = _word_ends(text, edges[start : end + 1]) if _UNSPACED.match(shape, start) else [edges[end]]
            spans += pairwise([edges[start], *inner])
    return spans


def last_base(piece: str) -> str:
    """What the last cluster of a text is: its letter or digit, else its first visible character."""
    return piece[-1] if piece[-1].isalnum() or piece.isascii() else _base(_CLUSTER.findall(piece)[-1])


def is_unspaced(character: str) -> bool:
    """Whether a letter belongs to a script that puts no spaces between words."""
    return not character.isascii() and _UNSPACED.match(character) is not None


def _base(cluster: str) -> str:
    if len(cluster) == 1 and not _LONE_MARK.match(cluster):
        return cluster
    visible = [sign for sign in cluster if not sign.isspace()]
    found = next((sign for sign in visible if sign.isalnum()), visible[0] if visible else cluster[-1])
    return _SOME_LETTER if _LONE_MARK.match(found) else found


def _runs(shape: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The stretches of shape[start:end] that are and that are not of scripts without spaces."""
    for run in _UNSPACED.finditer(shape, start, end):
        if start < run.start():
            yield start, run.start()
        yield run.span()
        start = run.end()
    if start < end:
        yield start, end


def _word_ends(text: str, edges: Sequence[int]) -> list[int]:
    """Where words end in the clusters between `edges`, all of scripts without spaces."""
    from icu4py.breakers import WordBreaker

    place = edges[0]
    ends: set[int] = set()
    for piece in WordBreaker(text[place : edges[-1]], _LOCALE):
        if _WITHOUT_DICTIONARY.search(piece):  # it comes in one piece, however long
            ends.update(range(place + 1, place + len(piece)))
        place += len(piece)
        ends.add(place)
    return [edge for edge in edges[1:] if edge in ends]
