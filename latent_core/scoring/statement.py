r"""Where a completion without think marks stops reasoning: at the sentence that states its answer, however it is spelt.

What precedes it is the reasoning; the sentence ("So the answer is 5.", `Thus $x = \boxed{5}$.`, "#### 5", a last line
that is one number) is written anew in every target, and must not be compressed with the reasoning or said twice.
"""

from __future__ import annotations

import re

from latent_core.boxes import first_of_last_boxes
from latent_core.scoring.extraction import PHRASE, lone_number, split_reasoning

_SENTENCE_END = re.compile(r"[.!?;][\"')*]*\s+|\n")
_LEAD = (
    r"(?:\b(?:so|thus|hence|therefore|then|and|finally|in conclusion|we conclude that|this means(?: that)?)\b[,: ]*)*"
)
_CLAUSE = re.compile(
    rf"[ ,;]*{_LEAD}(?:\b(?:the|my|our|its)\s+)?"
    r"(?:\b(?:final|correct|right|required|desired|last)\s+)*\b(?:answers?|option|choice)\b",
    re.IGNORECASE,
)
_OPENING_LINE = re.compile(r"(?:^|(?<=\n))[ \t]*(?:\\\[|\$\$|\\begin\{[a-z]+\*?\})[ \t]*\n[ \t]*\Z")
_HEADING = re.compile(r"(?:^|\n)[#*_ \t]*(?:the )?(?:final )?answers?[:*_ \t]*\Z", re.IGNORECASE)
_OPEN_MATH = re.compile(r"(?:\$\$?|\\\(|\\\[)\s*\Z")
_OPENED_DISPLAY = re.compile(r"(?<!\\)(?:\\\[|\$\$)\Z")
_EQUALS = re.compile(r"\s*&?=(?!=)")
_EMPHASIS = re.compile(r"(?:(?<=\s)|^)[#*_]{1,8}\Z")
_DANGLING = re.compile(r"[ ,;]*\b(?:so|thus|hence|therefore|then|and)[,:]?\s*\Z", re.IGNORECASE)
_HASHES = re.compile(r"####\s{0,8}[-+$\\.\d]")
_LETTER_LINE = re.compile(r"[\s*$(]*[A-J][\s$).*]*")
_WINDOW = 2000  # characters in which a sentence's beginning is looked for
_LAST_SENTENCE = 400  # characters at the end in which a second statement is looked for


def before_answer(completion: str) -> str:
    """The reasoning of a completion: what precedes the statement of its answer, or all of it where none is given.

    A completion that marks its reasoning with `</think>` has it there.
    """
    if reasoning := split_reasoning(completion)[0]:
        return reasoning
    reasoning = completion.strip()
    place = _statement(reasoning)
    if place is None:
        return reasoning
    reasoning = reasoning[:place].rstrip()
    while (
        again := _phrase_in_last_sentence(reasoning)
    ) is not None:  # "So the answer is 5.\n\nThe final answer is: ..."
        reasoning = reasoning[:again].rstrip()
    if _OPENED_DISPLAY.search(reasoning) and (not reasoning.endswith("$$") or reasoning.count("$$") % 2):
        reasoning = reasoning[:-2].rstrip()
    for remains in (_EMPHASIS, _HEADING, _DANGLING):
        reasoning = remains.sub("", reasoning).rstrip()
    return reasoning


def _statement(text: str) -> int | None:
    """Where the last statement of an answer begins; None without one."""
    box = first_of_last_boxes(text)
    if box is not None:
        return _beginning(text, box)
    last_line = text.rpartition("\n")[2]
    if _HASHES.search(last_line):
        return text.rindex("####")
    if phrases := list(PHRASE.finditer(text)):
        return _beginning(text, phrases[-1].start())
    if len(last_line) < len(text) and (lone_number(last_line) or _LETTER_LINE.fullmatch(last_line[:40])):
        return len(text) - len(last_line)
    return 0 if lone_number(text) else None


def _beginning(text: str, place: int) -> int:
    """Where the sentence with `place` in it begins; what it reasons before "so the answer is" is left out of it."""
    low = max(0, place - _WINDOW)
    start = low
    for end in _SENTENCE_END.finditer(text, low, place):
        start = end.end()
    clauses = [clause.start() for clause in _CLAUSE.finditer(text, start, min(len(text), place + 10))]
    if clauses and clauses[-1] <= place:
        return clauses[-1]
    if len(steps := list(_EQUALS.finditer(text, start, place))) > 1:  # a calculation whose result is the answer
        return steps[-1].start()
    if opening := _OPENING_LINE.search(text, low, start):
        start = opening.start()
    if text[:start].strip():
        return start
    opened = _OPEN_MATH.search(text, low, place)  # all of it is one sentence: what precedes the answer itself reasons
    return opened.start() if opened else place


def _phrase_in_last_sentence(text: str) -> int | None:
    start = max(0, len(text) - _LAST_SENTENCE)
    for end in _SENTENCE_END.finditer(text, start):
        start = end.end() if end.end() < len(text) else start
    phrases = list(PHRASE.finditer(text, start))
    if not phrases:
        return None
    return _beginning(text, phrases[-1].start()) or None  # nothing would precede it
