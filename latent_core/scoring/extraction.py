r"""Finding the answer in a completion: the text after `</think>`, then its last `\boxed{...}`, then a closing phrase.

A text that is one number and nothing else is its own answer. There is no "last number in the text" rule: it turns a
calculation that never reached an answer into one, and a truncated output into a wrong or, worse, a right one. Every
search here is linear in the length of the text.
"""

from __future__ import annotations

import re

from latent_core.boxes import content_of_last, scan_boxes, without_trailing
from latent_core.think_marks import THINK_CLOSE, THINK_OPEN

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
    return without_trailing(_EMPHASIS.sub("", phrase.strip())).strip().strip(_QUOTES) or None


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
    boxes, last_open = scan_boxes(answer_text)
    if boxes or last_open >= 0:
        return content_of_last(answer_text, boxes, last_open)
    return closing_phrase(answer_text) or lone_number(answer_text)
