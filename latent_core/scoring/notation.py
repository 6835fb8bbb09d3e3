r"""LaTeX that says the same in another way, written as math-verify reads it, with the meaning unchanged.

Upright constants and functions (`\mathrm{e}`, `\operatorname{sin}`), `{n \choose k}`, primes, ordinals, a unit spread
over several macros, and what stands behind an answer without changing it ("for all n"). Every function takes a text of
at most a thousand characters.
"""

from __future__ import annotations

import re

TEXT_NAMES = r"text|mbox|mathrm|textrm|textbf|mathbf|textit|textnormal|mathit|operatorname"
_UPRIGHT = re.compile(rf"\\(?:{TEXT_NAMES}|mathsf)\s*\{{\s*(e|i|\\pi)\s*\}}")
_FUNCTION = re.compile(
    rf"\\(?:{TEXT_NAMES})\s*\{{\s*((?:arc)?(?:sin|cos|tan|cot|sec|csc|c?tg)h?|ln|log|exp)\s*\}}|\\((?:arc)?c?tg)(?![A-Za-z])"
)
_OTHER_NAMES = {"tg": "tan", "ctg": "cot", "arctg": "arctan", "arcctg": "arccot"}
_INFIX = re.compile(r"\\(choose|over)(?![A-Za-z])")
_PRIMED = re.compile(
    r"((?<![A-Za-z\\][a-z])(?<!\\)[A-Za-z]|\\[A-Za-z]+)(?:_(?:(\w)|\{([^{}]*)\}))?((?:\s?'|\s?\^\s?(?:\\prime|\{\s*(?:\\prime\s*)+\}))+)"
)
_ORDINAL = re.compile(
    r"(?<![\d.,])(?P<number>\d[\d,]*)\s?(?:"
    rf"\^\s?\{{\s?\\(?:{TEXT_NAMES})\s?\{{\s?(?P<a>st|nd|rd|th)\s?\}}\s?\}}"  # ^{\text{th}}
    rf"|(?:\^\s?)?\\(?:{TEXT_NAMES}|textsuperscript)\s?\{{\s?(?P<b>st|nd|rd|th)\s?\}}"
    r"|\^\s?\{\s?(?P<c>st|nd|rd|th)\s?\}|(?P<d>st|nd|rd|th)(?![A-Za-z]))"
)
_POWER = r"\s?\^\s?(?:\{\s?-?\d\s?\}|\d)"
_UNIT = rf"\\(?:{TEXT_NAMES})\s*\{{(?!\s*(?:and|or)\b)[^{{}}\d,;]*\}}(?:{_POWER})?"
_RAISED_UNIT = rf"\\(?:{TEXT_NAMES})\s*\{{[^{{}}\d,;]*(?:\^\{{-?\d\}}[^{{}}\d,;]*){{1,3}}\}}"  # \mathrm{m s^{-1}}
_UNIT_CHAIN = re.compile(
    rf"(?<=[\w}})\].% ]) ?({_UNIT}(?:\s*(?:(?:/|\\cdot|\\times|\*)\s*)?{_UNIT})+|{_RAISED_UNIT})\s*\.?$"
)
_GAP = re.compile(r"(?<!\\)\\(?:[,;: !]|(?:thin|med|thick)space(?![A-Za-z])|q?quad(?![A-Za-z]))|~")
# `{\rm m}` and `\rm{m}` are older spellings of `\mathrm{m}`, and a macro takes one character without braces.
_OLD_ROMAN = re.compile(r"\{\s*\\rm(?![A-Za-z])([^{}]*)\}|\\rm\s*\{([^{}]*)\}|\\mathrm\s+([A-Za-z])(?![A-Za-z])")
_UNIT_FRACTION = re.compile(rf"\\[dt]?frac\s*\{{\s*({_UNIT})\s*\}}\s*\{{\s*({_UNIT})\s*\}}$")
_SPACE_BEHIND = re.compile(r"(?:\\q?quad|\\[,;: ]|\\$|\s)+$")
_MACRO_OPENING = re.compile(rf"\\(?:{TEXT_NAMES})\s*\{{")
_DOMAIN = (
    r"(?:(?:all|any|every|each|an?|arbitrary|the|positive|negative|non-?negative|nonzero|real|complex|rational|natural"
    r"|integers?|whole|numbers?|values?|constants?|of|is|are|where|with|in|and|,|:|\$|\s|\\[, ;]|\\q?quad|\\in"
    r"|\\(?:mathbb|mathbf)\s?\{?[NZQRC]\}?(?:\^[+*]|_\{?[+>\d]+\}?)?|\\(?:ge|geq|geqslant|gt)|>=?|[A-Za-z](?![A-Za-z])|[01])+)"
)
_QUANTIFIER = re.compile(
    r"(?:,|;)?\s*\(?(?:\bfor (?:all|any|every|each)\b|\\forall\b|\bwhere\b"
    r"|\bfor some(?= (?:real |arbitrary )?constants?\b)|\(\s*(?=\$?[a-z]\$?,? (?:is )?(?:an?|any)\b)"
    rf"|[,(]\s*(?=[a-zA-Z]\s?\\in\s?\\mathbb)){_DOMAIN}\)?\.?$"
)


def rewritten(text: str) -> str:
    """All of what this module does, in its order."""
    text = _UPRIGHT.sub(r" \1", with_braced_fonts(text))
    text = _FUNCTION.sub(lambda name: rf"\{_OTHER_NAMES.get(name[1] or name[2], name[1])} ", text)
    text = _with_prefix_operators(text)
    text = _ORDINAL.sub(_cardinal, text)
    text = joined_unit(text)
    return _PRIMED.sub(_with_prime_index, text)


def without_quantifier(text: str) -> str:
    r"""`x=3` for "x=3 for all n" and `2k\pi` for `2k\pi, k \in \mathbb{Z}`: with no bound but 0 or 1 in it."""
    flat = _MACRO_OPENING.sub(" ", text) if "\\text" in text or "\\mbox" in text else text
    if flat is not text:
        flat = _without_stray_braces(flat)
    match = _QUANTIFIER.search(flat)
    return _SPACE_BEHIND.sub("", flat[: match.start()]) if match and match.start() else text


def _without_stray_braces(text: str) -> str:
    depth, kept = 0, []
    for place, character in enumerate(text):
        if character == "}" and text[place - 1 : place] != "\\":
            if depth == 0:
                continue
            depth -= 1
        elif character == "{" and text[place - 1 : place] != "\\":
            depth += 1
        kept.append(character)
    return "".join(kept)


def with_braced_fonts(text: str) -> str:
    r"""`\mathrm{m}` for `{\rm m}`, `\rm{m}` and `\mathrm m`."""
    return _OLD_ROMAN.sub(lambda found: rf"\mathrm{{{found[1] or found[2] or found[3] or ''}}}", text)


def joined_unit(text: str) -> str:
    r"""`20 \text{m/s^2}` for `20\,\mathrm{m} / \mathrm{s}^{2}` and for `20 \frac{\text{m}}{\text{s}^2}`."""
    flat = _UNIT_FRACTION.sub(r"\1/\2", _GAP.sub(" ", text.replace(r"\,\!", "")).rstrip())
    joined = _UNIT_CHAIN.sub(lambda chain: rf" \text{{{_plain_unit(chain[1])}}}", flat)
    return text if joined == flat else joined


def _plain_unit(chain: str) -> str:
    chain = re.sub(r"\\(?:cdot|times)(?![A-Za-z])", "*", chain)
    inside = _MACRO_OPENING.sub(" ", chain).replace("~", " ").replace("{", "").replace("}", "")
    return re.sub(r"\s*([*/^])\s*", r"\1", inside).strip()


def _with_prefix_operators(text: str) -> str:
    r"""`\binom{n}{k}` for `{n \choose k}`, `\frac{a}{b}` for `{a \over b}`; each takes all of its group."""
    while match := _INFIX.search(text):
        start, end = _group_around(text, match.start(), match.end())
        upper, lower = text[start : match.start()].strip(), text[match.end() : end].strip()
        name = "binom" if match[1] == "choose" else "frac"
        if start and end < len(text) and text[start - 1] == "{" and text[end] == "}":
            start, end = start - 1, end + 1
        text = rf"{text[:start]}\{name}{{{upper}}}{{{lower}}}{text[end:]}"
    return text


def _group_around(text: str, start: int, end: int) -> tuple[int, int]:
    """Where the braces that hold `text[start:end]` begin and end inside; the ends of the text without braces."""
    depth, first = 0, start
    while first > 0:
        depth += (text[first - 1] == "}") - (text[first - 1] == "{")
        if depth < 0:
            break
        first -= 1
    depth, last = 0, end
    while last < len(text):
        depth += (text[last] == "{") - (text[last] == "}")
        if depth < 0:
            break
        last += 1
    return first, last


def _cardinal(match: re.Match[str]) -> str:
    """The number of a right ordinal; `2^{th}` is none."""
    number = match["number"].replace(",", "")
    last = int(number[-2:])
    suffix = "th" if last in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(last % 10, "th")
    return match["number"] if match.lastgroup and match[match.lastgroup] == suffix else match[0]


def _with_prime_index(match: re.Match[str]) -> str:
    r"""`f_{prime}` for `f'`: math-verify drops the mark, and then a function equals its derivative."""
    name, index = match[1], match[2] or match[3] or ""
    count = match[4].count("'") + match[4].count("prime")
    return f"{name}_{{{index}{'prime' * count}}}"
