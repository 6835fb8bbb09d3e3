r"""The last `\boxed{...}` of a text, with balanced braces; every search is linear in the length of the text."""

from __future__ import annotations

import re
from typing import NamedTuple

# `\\{` is a LaTeX line break followed by a group, so a double backslash is eaten whole, unless a box follows it:
# models that escape twice write `\\boxed{5}`.
_TOKEN = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])|\\\\(?!boxed|fbox)|\\[{}]|[{}]")
_BOX_MARKERS = frozenset({"\\boxed", "\\fbox"})
# `\boxed 5`: one signed number or one letter. More would take the next word of "put it in \boxed format".
_BARE_BOX = re.compile(r"\s{0,8}([+-]?(?:\d[\d.,/]*|\.\d+)|[A-Za-z](?![A-Za-z]))")
_BOX_BRACE = re.compile(r"\s{0,8}\{")
_BLANK = re.compile(r"(?:[\s$*&{}]|\\[,;: ()\[\]\\]|\\(?:q?quad|text|mbox|mathrm)(?![A-Za-z])|~)+")
# Between boxes that are one answer: "apples and", ",", "; y =", "and (b)". Other words before the mark, as in "no," and
# "is wrong,", and any behind it ("so") make the later box replace the earlier one.
_JOINT = re.compile(
    r"(?:(?:(?!(?:no|not|wait|so|then|thus|hence|therefore|is|was|are|were|wrong|incorrect|false|actually|sorry|oops|hmm+|but"
    r"|which|because|since|first|initially|instead|rather|correct\w*|that|this|equals|gives|means|about|roughly|and|or)\b)"
    r"[^\W\d_]+ ?){1,2}(?=[,;\u3001\uff0c\uff1b\u548c]|and\b|or\b))?"
    r"(?P<mark>[,;\u3001\uff0c\uff1b\u548c]? ?(?:and\b|or\b)?) ?"
    r"(?:[-\u2022]|\(?\w\)|\d\.|(?:the (?:other|second|third)|[A-Za-z](?:_\w)?(?:\([A-Za-z]\))?) ?(?:=|is\b))?",
    re.IGNORECASE,
)
_LONGEST_JOINT = 80
_NOT_SPACE = re.compile(r"\S")


class Box(NamedTuple):
    """Where a box's macro, its content, the end of its content and the text behind it begin."""

    opening: int
    start: int
    end: int
    behind: int


def boxed_answer(text: str) -> str | None:
    r"""The content of the last non-empty `\boxed{...}` (or `\fbox{...}`, or `\boxed 5`), braces balanced.

    Several last boxes with nothing between them but a comma, a semicolon, "and", or what they count ("3 apples and")
    are one answer, joined by commas; any other words between two boxes make the later one a correction. A last box
    that never closes gives None, not an earlier box: the model had moved on from that one. Boxes inside the box stay in
    the returned content; an empty box (prose such as "put it in \boxed{}") does not count.
    """
    return content_of_last(text, *scan_boxes(text))


def content_of_last(text: str, boxes: list[Box], last_open: int) -> str | None:
    last = _last_boxes(text, boxes)
    if not last or last_open > last[-1].start:
        return None
    return ", ".join(content for box in last if (content := _content(text, box))) or None


def _last_boxes(text: str, boxes: list[Box]) -> list[Box]:
    """The boxes that are one answer, less those that say it again, in order; `boxes` are listed as they close."""
    last = boxes[-1:]  # the outermost of the last nest closes last
    opening = last[0].opening if last else 0
    for box in reversed(boxes[:-1]):
        if box.opening > opening:
            continue  # inside it
        if opening - box.behind > _LONGEST_JOINT:
            break
        joint = _JOINT.fullmatch(_BLANK.sub(" ", text[box.behind : opening]).strip())
        if joint is None:
            break
        if _content(text, box) != _content(text, last[-1]) or re.search(r"and|;", joint["mark"]):
            last.append(box)
        opening = box.opening
    return last[::-1]


def first_of_last_boxes(text: str) -> int | None:
    """Where the first of the boxes begins that give a text's answer; the last box if it is still open."""
    boxes, last_open = scan_boxes(text)
    last = _last_boxes(text, boxes)
    if last_open >= 0 and (not last or last_open > last[-1].start):
        return max(text.rfind(marker, 0, last_open) for marker in _BOX_MARKERS)
    return last[0].opening if last else None


def _content(text: str, box: Box) -> str:
    return without_trailing(text[box.start : box.end]).strip()


def opens_box(text: str) -> bool:
    """Whether the text holds a box that is not empty, closed or not."""
    boxes, last_open = scan_boxes(text)
    return bool(boxes) or last_open >= 0


def scan_boxes(text: str) -> tuple[list[Box], int]:
    """Each closed, non-empty box in closing order; where the content of the last open one starts, or -1."""
    open_groups: list[tuple[int, int]] = []  # where the content starts; where the box's macro does, -1 for no box
    boxes: list[Box] = []
    starts = [start for marker in _BOX_MARKERS if (start := text.find(marker)) >= 0]
    position = min(starts, default=len(text))  # groups opened before the first box hold no box's end
    while token := _TOKEN.search(text, position):
        position = token.end()
        if token.group() in _BOX_MARKERS:
            if brace := _BOX_BRACE.match(text, position):
                position = brace.end()
                open_groups.append((position, token.start()))
            elif bare := _BARE_BOX.match(text, position):
                boxes.append(Box(token.start(), bare.start(1), bare.end(1), bare.end(1)))
                position = bare.end()
        elif token.group() == "{":
            open_groups.append((position, -1))
        elif token.group() == "}" and open_groups:
            start, opening = open_groups.pop()
            if opening >= 0 and _NOT_SPACE.search(text, start, token.start()):
                boxes.append(Box(opening, start, token.start(), token.end()))
    return boxes, max((start for start, opening in open_groups if opening >= 0), default=-1)


def without_trailing(text: str) -> str:
    r"""The text less white space, full stops and commas at its end; `\,` is a space, not a backslash and a comma."""
    end = len(text)
    while end and (text[end - 1].isspace() or (text[end - 1] in ".," and text[end - 2 : end - 1] != "\\")):
        end -= 1
    return text[:end]
