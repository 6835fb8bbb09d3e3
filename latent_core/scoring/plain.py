r"""Answers typed without LaTeX: Unicode signs (½, √2, x²), ASCII mathematics (2pi, sqrt2, 3e5), numbers in words.

`as_latex` writes the signs as the LaTeX that says the same; `cardinal` reads "twenty-one" and "three quarters". Both
expect short text, as the rest of the normalisation does.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

_SIGNS = str.maketrans(
    {
        "\u2212": "-",  # minus sign
        "\u2013": "-",  # en dash
        "\u00d7": r"\times ",
        "\u00b7": r"\cdot ",
        "\u22c5": r"\cdot ",
        "\u00f7": "/",
        "\u2044": "/",  # fraction slash
        "\u221e": r"\infty ",
        "\u2264": r"\le ",
        "\u2265": r"\ge ",
        "\u2260": r"\ne ",
        "\u2248": r"\approx ",
        "\u00b1": r"\pm ",
        "\u2208": r"\in ",
        "\u222a": r"\cup ",
        "\u2205": r"\emptyset ",
        "\u211d": r"\mathbb{R}",
        "\u00b0": r"^\circ",
        "\u00ba": r"^\circ",  # ordinal sign, typed for degrees
        "\u00a0": " ",
        "\u2009": " ",
        "\u202f": " ",
        "\u200b": "",  # zero-width space
        "\u2060": "",  # word joiner
        "\ufeff": "",  # byte order mark
    }
    | dict.fromkeys("\u3001\u060c", ",")  # ideographic and Arabic comma
    | dict.fromkeys("\u2032\u2019", "'")  # prime, apostrophe
    | {"\u2033": "''", "\u3002": ".", "\u066b": ".", "\u066c": ",", "\u066a": "%", "\u2103": r"^\circ C"}
    | {
        chr(code): rf"\{unicodedata.name(chr(code)).split()[-1].lower().replace('lamda', 'lambda')} "
        for code in range(0x3B1, 0x3CA)  # small Greek letters
        if code not in (0x3B9, 0x3BF, 0x3C2, 0x3C5)  # which look like Latin ones, or are no other letter
    }
    | {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # full-width ASCII
)
_VULGAR = re.compile("[\u00bc-\u00be\u2150-\u215e]")
_SUPERSCRIPTS = str.maketrans(
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b", "0123456789+-"
)
_RAISED = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u207a\u207b]+")
_ROOT = re.compile(r"\u221a\s*(?:\(([^()]*)\)|\{([^{}]*)\}|(\d+(?:\.\d+)?|[A-Za-z]))")
_BARE_SQRT = re.compile(r"(?<![\\A-Za-z])sqrt\s?(\d+|[A-Za-z])(?![A-Za-z])")
_BARE_PI = re.compile(r"(?<![\\A-Za-z])pi(?![A-Za-z])")
_POWER = re.compile(r"(?<=[\w)}])\s?\*\*\s?(?=[\w(-])")
_MICRO = re.compile(r"(?<=\d)\s?[\u00b5\u03bc](?=[A-Za-z])")
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")  # of another script
_SCIENTIFIC = re.compile(r"^([+-]?\d+(?:\.\d+)?)[eE]([+-]?\d{1,4})$")
_TIMES_TEN = re.compile(r"(?<=\d) ?[xX*] ?(?=10 ?\^)")

_UNITS = {
    name: value
    for value, name in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen".split()
    )
}
_TENS = {
    name: 10 * value
    for value, name in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)
}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {
    "half": 2,
    "halves": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "eighth": 8,
    "tenth": 10,
}


def as_latex(text: str) -> str:
    """The text with its Unicode signs and ASCII mathematics as LaTeX; what is LaTeX already stays as it is."""
    if not text.isascii():
        text = "".join(sign for sign in text if sign == "$" or unicodedata.category(sign) != "Sc")  # currencies
        text = _MICRO.sub(" micro", text)
        text = _VULGAR.sub(lambda sign: _vulgar(sign.group()), text)
        text = _RAISED.sub(lambda digits: f"^{{{digits.group().translate(_SUPERSCRIPTS)}}}", text)
        text = _ROOT.sub(lambda root: rf"\sqrt{{{root[1] or root[2] or root[3] or ''}}}", text)
        text = _OTHER_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit.group())), text.translate(_SIGNS))
    text = _BARE_SQRT.sub(r"\\sqrt{\1}", text)
    text = _BARE_PI.sub(r"\\pi ", text)
    text = _POWER.sub("^", text)
    text = _TIMES_TEN.sub(r"\\times ", text)
    return _SCIENTIFIC.sub(r"\1\\cdot 10^{\2}", text.strip())


def _vulgar(sign: str) -> str:
    numerator, _, denominator = unicodedata.normalize("NFKC", sign).partition("\u2044")
    return rf"\frac{{{numerator}}}{{{denominator}}}"


def cardinal(words: str) -> Fraction | None:
    """The number that English words name ("one hundred and five", "a dozen", "two thirds"), None for anything else."""
    names = re.findall(r"[a-z]+", words.casefold().replace("-", " "))
    if not names or names == ["a"] or len(names) > 20 or re.fullmatch(r"[A-Za-z][A-Za-z ,-]*", words) is None:
        return None
    if names == ["half"]:
        return Fraction(1, 2)
    part = _PARTS.get(names[-1]) or _PARTS.get(names[-1].removesuffix("s"))
    if part is not None and len(names) > 1:
        count = _whole(names[:-1])
        return None if count is None else Fraction(count, part)
    if names[-1] == "dozen":
        count = 1 if len(names) == 1 else _whole(names[:-1])
        return None if count is None else Fraction(12 * count)
    total = _whole(names)
    return None if total is None else Fraction(total)


def number(text: str) -> Fraction | None:
    r"""The exact value of a plain decimal, `a/b` or `\frac{a}{b}`; None for anything else, or more than 30 digits."""
    text = re.sub(r"^([+-]?)\\frac(?:\{(\d+)\}\{(\d+)\}|(\d)(\d))$", r"\1\2\4/\3\5", text)
    if re.fullmatch(r"[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})|[+-]?\d{1,30}/0*[1-9]\d{0,29}", text) is None:
        return None
    return Fraction(text)


def _whole(names: list[str]) -> int | None:
    if names in (["a"], ["one"]):
        return 1
    if names[0] == "a" and len(names) > 1:
        names = ["one", *names[1:]]
    total = group = 0
    for place, name in enumerate(names):
        if name == "and" and 0 < place < len(names) - 1:
            continue
        if name in _UNITS:
            group += _UNITS[name]
        elif name in _TENS:
            group += _TENS[name]
        elif name == "hundred" and group:
            group *= 100
        elif name in _SCALES and group:
            total, group = total + group * _SCALES[name], 0
        else:
            return None
    # "one two three" is a list, not the number six: a number's words, written out again, are its own.
    return total + group if _spelled(total + group) == [name for name in names if name != "and"] else None


def _spelled(number: int) -> list[str]:
    """The words of a number below 10^15, without "and"; "one" before hundreds, as `_whole` has made it."""
    if number < 20:
        return [next(name for name, value in _UNITS.items() if value == number)]
    if number < 100:
        name = next(name for name, value in _TENS.items() if value == number - number % 10)
        return [name, *(_spelled(number % 10) if number % 10 else [])]
    scale, size = (
        ("hundred", 100)
        if number < 1000
        else next((name, size) for name, size in reversed(_SCALES.items()) if number >= size)
    )
    if number >= 10**15:
        return []
    return [*_spelled(number // size), scale, *(_spelled(number % size) if number % size else [])]
