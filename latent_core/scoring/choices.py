r"""Multiple-choice answers: the letter of `\boxed{\text{B}}`, "The answer is (B)", "B is correct", "B. Paris", "B"."""

from __future__ import annotations

import re

from latent_core.boxes import opens_box
from latent_core.scoring.extraction import extract_answer, split_reasoning

# After a bare letter only punctuation or a reason may follow: "A" opens too many sentences to be taken from prose.
_LEADING_LETTER = re.compile(
    r"^[\s*$({\[\"'`\u2018\u201c]*(?:(?:option|choice|answer|letter)\s+[\s*$({\[]*)?([A-J])"
    r"(?:[)\].:,;}*$\"'`\u2019\u201d]|\s*$|\s*\(|\s+(?:because|since|as|which|for|due)\b|\s+[-\u2013\u2014]\s)",
    re.IGNORECASE,
)
# "A, B" and "(A) or (C)" name two letters, and so none.
_SEVERAL = re.compile(
    r"^[\s*$({\[]*[A-J][)\]}]?(?:\s*(?:,|/|&|\band\b|\bor\b|,\s*(?:and|or)\b)\s*[({\[]?[A-J][)\]}]?)+[\s*$.)}\]]*$"
)
# In prose the letter is a capital and the sentence says that it is the answer; "is not B" and "is incorrect" do not.
_CHOSEN = re.compile(
    r"(?:\b(?:(?:[Cc]orrect|[Rr]ight|[Bb]est|[Ff]inal)\s(?:option|choice|letter)\sis"
    r"|\b(?:I|[Ww]e)(?:'d|\swould)?\s(?:choose|pick|select|go\swith))\s(?:option\s|choice\s)?[*(\"$]{0,3}([A-J])(?![\w'])"
    r"|(?<![\w'])\(?([A-J])\)?\*{0,2}\sis\s(?:therefore\s|thus\s)?(?:the\s)?(?:correct|right|best)\b(?!\?))"
)
_TEXT_MACRO = re.compile(r"\\(?:text|mathrm|mathbf|textbf|mbox|textrm)\s*\{([^{}]{0,200})\}")
_LONE_LETTER_LINE = re.compile(r"^[\s*$(]*([A-J])[\s*$).]*$")


def choice_letter(answer: str) -> str | None:
    """The letter, A to J in upper case, that an extracted answer or a gold names; None if it names none."""
    plain = _TEXT_MACRO.sub(lambda match: match.group(1), answer[:400])
    match = None if _SEVERAL.match(plain) else _LEADING_LETTER.match(plain)
    return match.group(1).upper() if match else None


def extract_choice(completion: str) -> str | None:
    """The chosen answer as written: a box or closing phrase that names a letter, else a sentence that says which option
    is right, else a last line that is one letter.

    Text before the last `</think>` is not looked at. None if no letter was named.
    """
    answer = extract_answer(completion)
    if answer is not None and choice_letter(answer) is not None:
        return answer
    _, answer_text = split_reasoning(completion)
    if opens_box(answer_text):
        return None
    if chosen := _last_chosen(answer_text):
        return chosen
    lines = answer_text.strip().splitlines()
    lone = _LONE_LETTER_LINE.match(lines[-1][:40]) if lines else None
    if lone is None and len(lines) == 1 and choice_letter(answer_text.strip()) is not None:
        return answer_text.strip()  # the whole answer is "B. Paris"
    return lone.group(1) if lone else None


def _last_chosen(text: str) -> str | None:
    letters = [match[1] or match[2] for match in _CHOSEN.finditer(text)]
    return letters[-1] if letters else None
