r"""Multiple-choice answers: the letter of `\boxed{\text{B}}`, "The answer is (B)", "B. Paris" or a lone last "B"."""

from __future__ import annotations

import re

from latent_core.scoring.extraction import extract_answer, opens_box, split_reasoning

# After a bare letter only punctuation or a reason may follow: "A" opens too many sentences to be taken from prose.
_LEADING_LETTER = re.compile(
    r"^[\s*$({\[]*(?:(?:option|choice|answer)\s+[\s*$({\[]*)?([A-J])"
    r"(?:[)\].:,;}*$]|\s*$|\s+(?:because|since|as|which|for|due)\b)",
    re.IGNORECASE,
)
_TEXT_MACRO = re.compile(r"\\(?:text|mathrm|mathbf|textbf|mbox|textrm)\s*\{([^{}]{0,200})\}")
_LONE_LETTER_LINE = re.compile(r"^[\s*$(]*([A-J])[\s*$).]*$")


def choice_letter(answer: str) -> str | None:
    """The letter, A to J in upper case, that an extracted answer or a gold names; None if it names none."""
    plain = _TEXT_MACRO.sub(lambda match: match.group(1), answer[:400])
    match = _LEADING_LETTER.match(plain)
    return match.group(1).upper() if match else None


def extract_choice(completion: str) -> str | None:
    """The chosen answer as written: a box or closing phrase that names a letter, else a last line that is one letter.

    Text before the last `</think>` is not looked at. None if no letter was named.
    """
    answer = extract_answer(completion)
    if answer is not None and choice_letter(answer) is not None:
        return answer
    _, answer_text = split_reasoning(completion)
    if opens_box(answer_text):
        return None
    lines = answer_text.strip().splitlines()
    lone = _LONE_LETTER_LINE.match(lines[-1][:40]) if lines else None
    if lone is None and len(lines) == 1 and choice_letter(answer_text.strip()) is not None:
        return answer_text.strip()  # the whole answer is "B. Paris"
    return lone.group(1) if lone else None
