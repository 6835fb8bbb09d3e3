r"""Finding the answer in a completion: the text after `</think>`, then its last `\boxed{...}`, then a closing phrase.

A text that is one number and nothing else is its own answer. There is no "last number in the text" rule: it turns a
calculation that never reached an answer into one, and a truncated output into a wrong or, worse, a right one. Every
search here is linear in the length of the text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

THINK_OPEN = "<think>"
THINK_CLOSE = "</think>"

# `\\{` is a LaTeX line break followed by a group, so a double backslash is eaten whole, unless a box follows it:
# models that escape twice write `\\boxed{5}`.
_TOKEN = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])|\\\\(?!boxed|fbox)|\\[{}]|[{}]")
_BOX_MARKERS = frozenset({"\\boxed", "\\fbox"})
# `\boxed 5`: one signed number or one letter. More would take the next word of "put it in \boxed format".
_BARE_BOX = re.compile(r"\s{0,8}([+-]?(?:\d[\d.,/]*|\.\d+)|[A-Za-z](?![A-Za-z]))")
_BOX_BRACE = re.compile(r"\s{0,8}\{")
PHRASE = re.compile(
    r"\banswers?(?:[ \t]{1,8}(?:is|are|(?:would|should|must|will)[ \t]be)(?![\w'\u2019])[ \t]{0,8}:?|[ \t*]{0,8}:)"
    r"[ \t*]{0,8}\s{0,4}(?!\s{0,20}not\b)(?=([^\n]{1,400}))"  # looked at, not consumed: a line may say it twice
    r"|^[#* \t]{0,8}(?:the[ \t])?(?:final[ \t])?answer[* \t]{0,8}\n\s{0,4}([^\n]{1,400})",  # a heading above it
    re.IGNORECASE | re.MULTILINE,
)
_HEDGE = re.compile(
    r"^(?:(?:therefore|thus|then|hence|simply|just|about|approximately|roughly|exactly|equal to|given by)[ ,:]{1,3})+",
    re.IGNORECASE,
)
_LONE_NUMBER = re.compile(
    r"[*$\s]{0,8}((?:\\\$|\$)?[-+\u2212]?(?:\\\$|\$)?(?:\d[\d,]{0,60}(?:\.\d{1,60})?|\.\d{1,60})(?:/\d{1,60})?\s?\\?%?)"
    r"[*$.\s]{0,8}"
)
_EMPHASIS = re.compile(r"^\*+|\*+(?=\s|$)|(?<=\s)\*\*")
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
# A dollar sign behind a space or before a digit closes nothing: "$5, not $6" are amounts.
_MATH_SPAN = re.compile(r"^\**\s*(?:\$\$(.+?)\$\$|\$((?:\\.|[^$\\])+?)(?<!\s)\$(?!\d)|\\\((.+?)\\\)|\\\[(.+?)\\\])")
_SPAN_GOES_ON = re.compile(r"\s*(?:,?\s*(?:and|or)\b|,|(?:times|plus|minus|to)\b)\s*(?:\$|\\\(|[-\d])")
_CLAUSE_END = re.compile(
    r"[.!?](?=\s|\**$)|;|,?\s(?:because|since|so that|which|(?:and|but) not)\b|,\s(?:as|so|not|where)\b"
    r"|\s[\u2013\u2014]\s"
)
_QUOTES = "\"'`\u2018\u2019\u201c\u201d"


def split_reasoning(completion: str) -> tuple[str, str]:
    """Cut a completion into (reasoning, answer text) at its last `</think>`.

    - With `</think>`: the reasoning is what lies before the last one, less a leading `<think>` (many chat templates
      open it in the prompt), the answer text is what follows.
    - Without any tag: the reasoning is empty and the whole completion is the answer text.
    - With a `<think>` that is still open at the end, also one opened after the last `</think>`: the answer text is
      empty, because the model never came to its answer.

    The reasoning is stripped of the white space beside the tags; the answer text is returned as it is.
    """
    before, closed, after = completion.rpartition(THINK_CLOSE)
    if THINK_OPEN in after:
        answer_text, _, reopened = after.partition(THINK_OPEN)
        kept = (_without_opening(before), answer_text.strip(), reopened.strip())
        return "\n".join(part for part in kept if part), ""
    if not closed:
        return "", completion
    return _without_opening(before), after


def _without_opening(reasoning: str) -> str:
    return reasoning.strip().removeprefix(THINK_OPEN).strip()


class _Box(NamedTuple):
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
    return _content_of_last(text, *_scan_boxes(text))


def _content_of_last(text: str, boxes: list[_Box], last_open: int) -> str | None:
    last = _last_boxes(text, boxes)
    if not last or last_open > last[-1].start:
        return None
    return ", ".join(content for box in last if (content := _content(text, box))) or None


def _last_boxes(text: str, boxes: list[_Box]) -> list[_Box]:
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
    boxes, last_open = _scan_boxes(text)
    last = _last_boxes(text, boxes)
    if last_open >= 0 and (not last or last_open > last[-1].start):
        return max(text.rfind(marker, 0, last_open) for marker in _BOX_MARKERS)
    return last[0].opening if last else None


def _content(text: str, box: _Box) -> str:
    return _without_trailing(text[box.start : box.end]).strip()


def _without_trailing(text: str) -> str:
    r"""The text less white space, full stops and commas at its end; `\,` is a space, not a backslash and a comma."""
    end = len(text)
    while end and (text[end - 1].isspace() or (text[end - 1] in ".," and text[end - 2 : end - 1] != "\\")):
        end -= 1
    return text[:end]


def opens_box(text: str) -> bool:
    """Whether the text holds a box that is not empty, closed or not."""
    boxes, last_open = _scan_boxes(text)
    return bool(boxes) or last_open >= 0


def _scan_boxes(text: str) -> tuple[list[_Box], int]:
    """Each closed, non-empty box in closing order; where the content of the last open one starts, or -1."""
    open_groups: list[tuple[int, int]] = []  # where the content starts; where the box's macro does, -1 for no box
    boxes: list[_Box] = []
    starts = [start for marker in _BOX_MARKERS if (start := text.find(marker)) >= 0]
    position = min(starts, default=len(text))  # groups opened before the first box hold no box's end
    while token := _TOKEN.search(text, position):
        position = token.end()
        if token.group() in _BOX_MARKERS:
            if brace := _BOX_BRACE.match(text, position):
                position = brace.end()
                open_groups.append((position, token.start()))
            elif bare := _BARE_BOX.match(text, position):
                boxes.append(_Box(token.start(), bare.start(1), bare.end(1), bare.end(1)))
                position = bare.end()
        elif token.group() == "{":
            open_groups.append((position, -1))
        elif token.group() == "}" and open_groups:
            start, opening = open_groups.pop()
            if opening >= 0 and _NOT_SPACE.search(text, start, token.start()):
                boxes.append(_Box(opening, start, token.start(), token.end()))
    return boxes, max((start for start, opening in open_groups if opening >= 0), default=-1)


def closing_phrase(text: str) -> str | None:
    r"""X of the last "The final answer is: X", "The answer is X" or "Answer: X", or of a last line's "#### X" (GSM8K).

    X runs to the end of its sentence or line; dollar signs, `\(...\)` and markdown asterisks around it are removed.
    None if there is no such phrase.
    """
    last_line = text.rstrip().rpartition("\n")[2]
    found = None
    for match in PHRASE.finditer(text):
        found = match[1] or match[2]
    # A markdown heading of four hashes is no answer: GSM8K's line holds a number.
    if re.search(r"####\s{0,8}[-+$\\.\d]", last_line) and PHRASE.search(last_line) is None:
        phrase = last_line.rpartition("####")[2].strip()
    elif found is not None:
        phrase = _HEDGE.sub("", found.strip()).strip()
    else:
        return None
    if (span := _MATH_SPAN.match(phrase)) and not _SPAN_GOES_ON.match(phrase, span.end()):
        return next(group for group in span.groups() if group is not None).strip() or None
    if end := _CLAUSE_END.search(phrase):
        phrase = phrase[: end.start()]
    return _without_trailing(_EMPHASIS.sub("", phrase.strip())).strip().strip(_QUOTES) or None


def lone_number(text: str) -> str | None:
    """The number that is all of a text ("42", "$1,000."), None where anything else is in it."""
    match = _LONE_NUMBER.fullmatch(text.strip()) if len(text) < 200 else None
    return match[1].strip() if match else None


def extract_answer(completion: str) -> str | None:
    r"""The answer a completion gives, or None: only after the last `</think>`, a box first, then a closing phrase.

    Where the text after the reasoning is one number and nothing else, that is the answer too. A text that opens a box
    is never searched for a phrase: "The answer is \boxed{5" was cut short of its answer.
    """
    _, answer_text = split_reasoning(completion)
    boxes, last_open = _scan_boxes(answer_text)
    if boxes or last_open >= 0:
        return _content_of_last(answer_text, boxes, last_open)
    return closing_phrase(answer_text) or lone_number(answer_text)
