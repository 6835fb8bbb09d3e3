r"""One spelling for answers that say the same: LaTeX variants, units, thousands separators, percent, degrees.

`clean` prepares an answer for symbolic comparison and keeps its mathematics; `exact_key` goes further and is only
compared for equality. Both expect short text (the grader refuses more than a thousand characters before).
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from latent_core.scoring.notation import rewritten, without_quantifier
from latent_core.scoring.plain import as_latex
from latent_core.scoring.units import unit_of

_TEXT = r"\\(?:text|mbox|mathrm|textrm|textbf|mathbf|textit|operatorname)\s*\{([^{}]*)\}"
_TEXT_MACRO = re.compile(_TEXT)
_TRAILING_TEXT = re.compile(rf"(?<=[\w}})\]%]) *{_TEXT}(?:\^\{{?\d\}}?)?[ .]*$")
_AND = "and|or|y|und|et|и|或|和|与|以及"
_CONJUNCTION = re.compile(
    rf"\s*,?\s*(?:\\text\s*\{{\s*(?:{_AND})\s*\}}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])"
    r"|[和或与]|(?<=\d) (?:et|y|und|и) (?=[-\d]))\s*"
)
_PLAIN_UNIT = re.compile(
    r"^([+-]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:/\d+)?|\d+ \d+/\d+|-?\d*\\frac\{\d+\}\{\d+\})"
    r" ?([^\W\d_][^\d+*^_=<>(){}\[\]\\|,;:!%$&]*)(?:\^\{?\d\}?)?$"
)
_SHORT_UNITS = frozenset(
    re.findall(r"\w+", "a of cm mm km dm nm kg mg g ml l ft in hr h mi m s lb oz pm am yd gb mb mph kph sq us")
)
_SI_UNITS = frozenset(  # by their own case, and single letters only in a text macro
    re.findall(r"\w+", "N J W V A K Pa hPa kPa MPa Hz kHz MHz GHz kN kJ MJ kW MW kWh mol eV T H F C dB L mL ha t")
)
_CLOSE_UNITS = frozenset(re.findall(r"\w+", "cm mm km kg mg ml mph"))  # written without a space as well
# Words after a number that change its value, or that are mathematics rather than a unit.
_NOT_UNITS = frozenset(
    re.findall(
        r"\w+",
        "hundred thousand million billion trillion dozen mil mille mila millones millions milhões milioni tausend "
        "millionen milliarden milliards miliardi bilhões docena dutzend douzaine dozzina hundert mio mrd not no never "
        "is isn if unless except than mod modulo over divided multiplied power root roots choose to by pi or and sqrt "
        "sin cos tan log ln infty i e plus minus times "
        "factorial half halves third thirds fourth fourths fifth fifths sixth sixths seventh sevenths eighth eighths "
        "ninth ninths tenth tenths twelfth twelfths hundredth hundredths thousandth thousandths",
    )
)
_OTHER_SCALES = tuple(  # words of other languages that multiply
    "十 百 千 万 萬 亿 億 兆 半 打 십 백 천 만 억 조 반 тыс млн млрд миллион миллиард дюжин половин "
    "सौ हज़ार हजार लाख करोड़ दर्जन ألف آلاف مليون مليار مئة millón".split()
)
_SCALES = {  # what a number before the word is multiplied by
    "dozen": "12",
    "hundred": "10^{2}",
    "thousand": "10^{3}",
    "million": "10^{6}",
    "billion": "10^{9}",
    "trillion": "10^{12}",
}
_SCALED = re.compile(
    rf"(?<=\d) *(?:\\text *\{{ *({'|'.join(_SCALES)})(?: +[A-Za-z ]{{1,40}})? *\}}"
    rf"|({'|'.join(_SCALES)})\b(?: +[A-Za-z ]{{1,40}}$)?)"  # "million dollars": the unit goes with its scale
)
_WHOLE = r"\d{1,3}(?: \d{3})+|\d{1,20}"
_MIXED_NUMBER = re.compile(rf"^(-?)({_WHOLE})\s+([1-9]\d*)\s*/\s*(\d+)(?=\s?%?$)")
_NUMBER_FRACTION = re.compile(r"\\(frac|binom)\s*(?:\{\s*(\d+)\s*\}|(\d))\s*(?:\{\s*(\d+)\s*\}|(\d))")
_MIXED_FRACTION = re.compile(rf"^(-?)({_WHOLE})\s*\\frac\{{(\d{{1,20}})\}}\{{(\d{{1,20}})\}}(?=\s?%?$)")
_FRACTION_PERCENT = re.compile(r"^(-?\\frac\{\d+\}\{\d+)\}\s?%$")
# math-verify reads `2(5)` and `2\binom{5}{1}` as the mixed number 2 + 5.
_FACTOR = re.compile(
    r"((?<![\w.}\\^])\d[\d.]*|(?<![\w}])\([^(),]*\))\s*(?=\([^(),]*\))|(?<=[\d)}!])()\s*(?=\\binom)|(?<=\))()\s*(?=\\frac)"
)
_DIGITS_AS_TEXT = re.compile(r"\\(?:text|mbox)\s*\{([^{}A-Za-z]*\d[^{}A-Za-z]*)\}")
_VALUE_FIRST = re.compile(r"^([^=<>\\]*\d[^=<>\\]*)=\s*([A-Za-z])$")
_RATIO_IN_WORDS = re.compile(r"^(\d+)\s*(?:\\text\s*\{\s*to\s*\}|to)\s*(\d+)$")
_GROUPED = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])")
_SPACED = re.compile(r"(?<![\d.])\d{1,3}(?: \d{3})+(?!\d)")
_DECIMAL = re.compile(r"^([+-]?)(\d*)(?:\.(\d*))?$")
_BASED = re.compile(
    r"^\(?(-?[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)?)\)?(?:_\{?(?:\\text\{)?(\w+)\}?\}?|(?:\\text\{)?\(?base-?\}?(\w+)\)?\}?)$"
)
_BASE_NAMES = {
    name: str(base)
    for base, name in enumerate(
        "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split(), start=2
    )
}
_CLOCK = re.compile(r"^(\d{1,2}:\d\d) ?(?:\\text *\{ *)?([ap])\.? ?m\.? *\}?$", re.IGNORECASE)
_CURRENCY = re.compile(
    r"\\(?:textdollar|mathdollar|pounds|euro|texteuro|yen)(?![A-Za-z])"
    r"|^(?:\\(?:text|mathrm|mbox)\s?\{\s?)?(?:(?:USD?|EUR|GBP|INR|CNY|RMB|JPY|CAD|AUD|Rs\.?)"
    r"\s?\}?(?:\\ |~)?\s?(?:\\?\$\s?)?"
    r"|(?:AU?|CA?|NZ|HK|NT|S|R)?\s?\}?\s?\\?\$\s?)\}?\s*(?=[\d.])"
)
# A sign that math-verify cannot read, where it would drop a mark (`1'23`, `f(x)'`) or add two numbers ("1 23", `2{3}`).
UNREADABLE = "\u2032"
_DIGITS_APART = re.compile(r"(?<![_^\d.A-Za-z}])(\d[\d.]*)(?: +(?=\d)|(?=\{\d))")
_INDEXED_ROOT = re.compile(r"(\\sqrt\s?\[\s?\d+\s?\])\s?(\w)")
_BARE_EXPONENT = re.compile(r"(\\text\{[^{}]*\})|\^\s?([-+]\d+)")  # a unit's stay as they are
_PRIME_BEHIND_DIGIT = re.compile(r"(?<=\d)\s?\^\s?(?:\\prime(?![A-Za-z])|\{((?:\s?\\prime(?![A-Za-z]))+)\s?\})")
_PRIMED_NUMBER = re.compile(r"\d(?:[\s})]|\\[,;: !])?'")
_QUOTED = re.compile(r"(?<![\d'])'([^']+)'(?!')")
_ARC = re.compile(r"\\circ|\\degree|\d\s?'\s?\d+(?:\.\d+)?\s?(?:''|\")")
_MARKS = re.compile(r"^([-+]?\d[\d.,]*)\s?(?:''|'|\")$|^(['\"])(.*)\2$")  # 30' of a degree; "30" in quotes
SWISS_GROUPS = re.compile(r"(?<![\d.'])\d{1,3}(?:'\d{3})+(?![\d'])")
_PERCENT = re.compile(r"\s*(?:\\(?:text|mbox|mathrm)\s?\{\s?percent\s?\}|(?<![A-Za-z])percent)$", re.IGNORECASE)
_DEGREES = re.compile(
    r"\s*(?:\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\degree(?![A-Za-z]))(?:\s?(?:\\(?:text|mathrm)\s?\{\s?[CF]\s?\}|[CF])$)?"
)
_FONTS = re.compile(
    r"\\(?:boxed|fbox|left|right|[bB]igg?[lr]?|(?:display|text|script)style|boldsymbol|bm|pmb|bf|rm|it|underline"
    r"|small|large|Large|LARGE|huge|Huge)(?![A-Za-z])|\\(?:text)?color\s*\{[^{}]*\}|(?<!\\)\\[!()\[\]]"
)
_BOLD = re.compile(r"^\*\*(?!\*)(.+)(?<!\*)\*\*$")
_ROUGHLY = re.compile(r"^(?:\\approx(?![A-Za-z])|\\sim(?![A-Za-z])|=)\s*")
_OPENING_WORDS = re.compile(
    r"^(?:\\text\s?\{\s?)?(?:exactly|only|just|the|a total of)(?:\s?\}|\s)\s*(?=[\d.])", re.IGNORECASE
)
_MEASURED_TEXT = re.compile(r"^[-+]?[\d.]")
_REPEATING = re.compile(r"(?<![\d.])(\d{0,20})\.(\d{0,20})\\(?:overline|bar|dot|overbar)\s?\{?(\d{1,20})\}?")


def clean(text: str) -> str:
    """The answer without delimiters, spacing macros, currency, degrees and units; its mathematics is untouched."""
    text = rewritten(without_quantifier(_with_marks(as_latex(unwrap_text(text))).replace("\n", " ")))
    text = _DIGITS_AS_TEXT.sub(r"\1", text)
    text = _BOLD.sub(r"\1", _CURRENCY.sub("", text).replace("\\$", "").replace("$", "").strip())
    text = re.sub(r",\s*\\!\s*", ",", text)  # `11,\! 111` is one number
    text = _FONTS.sub("", text)
    # `\\ ` is a matrix's line break, not a backslash and a space.
    text = re.sub(r"(?<!\\)\\(?:[,;: ]|$)|\\q?quad(?![A-Za-z])|~", " ", text)
    text = text.replace("{,}", ",").replace("{:}", ":").replace("\\%", "%")
    text = _BARE_EXPONENT.sub(lambda found: found[1] or f"^{{{found[2]}}}", _PERCENT.sub("%", text))
    text = text.replace(r"\varnothing", r"\emptyset").replace(r"\langle", "(").replace(r"\rangle", ")")
    text = text.replace(r"\lbrace", r"\{").replace(r"\rbrace", r"\}")
    text = re.sub(r"\\[dtc](frac|binom)(?![A-Za-z])", r"\\\1", text)
    text = _NUMBER_FRACTION.sub(lambda part: rf"\{part[1]}{{{part[2] or part[3]}}}{{{part[4] or part[5]}}}", text)
    text = _DEGREES.sub("", text)
    text = _INDEXED_ROOT.sub(r"\1{\2}", text)
    text = re.sub(r"\s+", " ", text).strip().rstrip(".").strip()
    text = _REPEATING.sub(_as_fraction, _OPENING_WORDS.sub("", _ROUGHLY.sub("", text)))
    text = text if "," in text else text.replace(";", ",")
    text = SWISS_GROUPS.sub(lambda match: match.group().replace("'", ""), _MARKS.sub(r"\1\3", text))
    text = re.sub(r"(?<=[\d)\]}])\s?['\"]", UNREADABLE, text)
    if clock := _CLOCK.match(text):
        return f"{clock[1]}\\text{{ {clock[2].casefold()}m}}"
    text = _SCALED.sub(lambda match: rf"\cdot {_SCALES[match[1] or match[2]]}", text)
    head, equals, value = _unwrap(text).rpartition("=")
    text = f"{head}{equals}{_without_units(value.strip())}"
    text = _VALUE_FIRST.sub(r"\2=\1", _CONJUNCTION.sub(",", text))
    text = _RATIO_IN_WORDS.sub(r"\1:\2", text)
    text = _MIXED_FRACTION.sub(_improper, _MIXED_NUMBER.sub(r"\1\2\\frac{\3}{\4}", text))
    if not re.search(r"[(\[]|\\\{", text):  # inside brackets a comma separates
        text = _GROUPED.sub(lambda match: match.group().replace(",", ""), text)
    text = _SPACED.sub(
        lambda match: match.group().replace(" ", ""), _FACTOR.sub(lambda factor: rf"{factor[1] or ''}\cdot ", text)
    )
    return _DIGITS_APART.sub(lambda digits: digits[1] + UNREADABLE, text)


def has_primed_number(text: str) -> bool:
    """Whether a prime stands behind a number of a text, as in `7'`, that is no arc and no length (30° 7', 5'6'')."""
    text = _with_marks(as_latex(text))
    return _PRIMED_NUMBER.search(SWISS_GROUPS.sub("0", _QUOTED.sub(r"\1", text))) is not None and not _ARC.search(text)


def has_marks(text: str) -> bool:
    """Whether a text has a prime or a quotation mark, as a letter of its own or as a macro."""
    return re.search(r"['\"]|\\prime", as_latex(text)) is not None


def _with_marks(text: str) -> str:
    r"""`7'` for `7^{\prime}`."""
    return _PRIME_BEHIND_DIGIT.sub(lambda primes: "'" * max(1, (primes[1] or "").count("prime")), text)


def unwrap_text(text: str) -> str:
    r"""The content of a text macro that holds the whole answer and opens with a number, as in `\text{5 cm}`."""
    macro = _TEXT_MACRO.fullmatch(text.strip().strip("$").strip())
    return macro[1].strip() if macro and _MEASURED_TEXT.match(macro[1].strip()) else text


def _as_fraction(match: re.Match[str]) -> str:
    r"""`0.1\overline{6}` is exactly 1/6: the repeated digits over as many nines, behind the others."""
    whole, fixed, repeated = match.groups()
    before, after = int(f"0{whole}{fixed}"), int(f"0{whole}{fixed}{repeated}")
    value = Fraction(after - before, 10 ** len(fixed) * (10 ** len(repeated) - 1))
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _improper(match: re.Match[str]) -> str:
    sign, whole, numerator, denominator = match.groups()
    whole = whole.replace(" ", "")
    return rf"{sign}\frac{{{int(whole) * int(denominator) + int(numerator)}}}{{{int(denominator)}}}"


def without_percent_of_fraction(cleaned: str) -> str:
    r"""`\frac{1}{200}` for a cleaned `\frac{1}{2}%`, which math-verify cannot read; any other text as it is."""
    return _FRACTION_PERCENT.sub(r"\g<1>00}", cleaned)


def exact_key(text: str) -> str:
    """A key whose equality proves two answers equal: text macros, spaces, percent signs and outer braces removed."""
    text = _TEXT_MACRO.sub(lambda match: match.group(1), clean(text))
    text = re.sub(r"(?<![0-9A-Za-z])\s+|\s+(?![0-9A-Za-z])", "", text).strip()
    text = re.sub(r"\s*(?:%|percent)$", "", text).rstrip(".")
    if choice := re.fullmatch(r"\(([A-Z])\)", text):
        text = choice.group(1)
    return decimal_key(text) or text


def decimal_key(text: str) -> str | None:
    """The canonical spelling of a plain decimal ("+05.50" is "5.5"), None for anything else.

    Works on the digits as text: `int` refuses more than 4300 of them, and a float would merge different numbers.
    """
    match = _DECIMAL.match(text)
    if match is None or not (match[2] or match[3]):
        return None
    whole, fraction = match[2].lstrip("0") or "0", (match[3] or "").rstrip("0")
    magnitude = f"{whole}.{fraction}" if fraction else whole
    return f"-{magnitude}" if match[1] == "-" and magnitude != "0" else magnitude


def text_key(gold: str) -> str | None:
    r"""The folded words of a gold answer that is text (`\text{east}`, `Saturday`), None if it is mathematics.

    Symbolic comparison must not see words: read as products of letters, `east` and `seat` are equal.
    """
    cleaned = clean(gold)
    words = _TEXT_MACRO.sub(lambda match: match.group(1), cleaned).strip()
    marked = _TEXT_MACRO.fullmatch(cleaned) is not None and re.search(r"[A-Za-z]", words) is not None
    plain = (
        re.fullmatch(r"(?:[A-Za-z][a-z]{3,}|[Yy]es|[Nn]o|[Oo]dd|NO|[IVX]{2}|[A-Z]{3,})(?:[ '-][A-Za-z]+)*", words)
        is not None
    )
    return fold_words(words) if marked or plain else None


def fold_words(text: str) -> str:
    """Lower case, single spaces, no text macros, no full stop, no brackets around a single choice letter."""
    words = _TEXT_MACRO.sub(lambda match: match.group(1), clean(text))
    words = re.sub(r"\s+", " ", words).strip(" .").casefold()
    choice = re.fullmatch(r"\(([a-z])\)", words)
    return choice.group(1) if choice else words


class BasedNumber(NamedTuple):
    """A numeral with its base, both as text: digits in lower case."""

    digits: str
    base: str


def based_number(text: str) -> BasedNumber | None:
    """A number with a base such as `4210_{5}`, `101_{\\text{two}}` or `4210 base 5`; None for anything else.

    A base lies between 2 and 36, and its digits below it: `7_1` is a 7 with an index.
    """
    match = _BASED.match(clean(text).replace(" ", ""))
    if match is None or not re.match(r"-?[0-9A-F]", match[1]):
        return None
    name = (match[2] or match[3]).casefold()
    base = _BASE_NAMES.get(name, name)
    digits = match[1].casefold()
    if not re.fullmatch(r"[2-9]|[12]\d|3[0-6]", base):
        return None
    return BasedNumber(digits, base) if all(int(digit, 36) < int(base) for digit in digits if digit.isalnum()) else None


def indexed_number(text: str) -> bool:
    """Whether a text is a number with an index that is no base (`7_1`), of which math-verify sees the number alone."""
    return re.fullmatch(r"-?\d+(?:\.\d+)?\s?_\{?\w+\}?", clean(text)) is not None


def _unwrap(text: str) -> str:
    """Remove braces that enclose the whole answer, as in `{5}`; `\\{1,2\\}` is a set and stays."""
    while text.startswith("{") and text.endswith("}") and not text.endswith("\\}"):
        depth = 0
        for index, character in enumerate(text):
            if character in "{}" and (index == 0 or text[index - 1] != "\\"):
                depth += 1 if character == "{" else -1
            if depth == 0:
                break
        if index != len(text) - 1:
            return text
        text = text[1:-1].strip()
    return text


def is_unit(words: str) -> bool:
    """Whether words behind a number may be dropped: they say what is counted, and do not change how many."""
    if unit_of(words) is not None or _SI_UNITS.intersection(re.findall(r"[^\W\d_]+", words)[:1]):
        return True
    names = re.findall(r"[^\W\d_]+", words.casefold())
    if not names or _NOT_UNITS.intersection(names) or names in (["squared"], ["cubed"]):
        return names == ["times"]
    if names[0].isascii():
        return len(names[0]) >= 3 or names[0] in _SHORT_UNITS
    is_greek = "\u0370" <= names[0][0] <= "\u03ff"  # a variable
    return not is_greek and not names[0].startswith(_OTHER_SCALES)


def _without_units(text: str) -> str:
    if (match := _TRAILING_TEXT.search(text)) and match.start() > 0 and is_unit(match.group(1)):
        text = text[: match.start()].rstrip()
    if (match := _PLAIN_UNIT.match(text)) and is_unit(match[2]):
        # "5 a day" is a unit, "5a" and "5 m" may be products: short names need a space, single letters more words.
        # Scripts without capitals have no variables.
        spaced = text[match.end(1) : match.start(2)] == " " or match[2].casefold() in _CLOSE_UNITS
        caseless = match[2][0].lower() == match[2][0].upper()
        if (
            caseless
            or (not match[2].isascii() and unit_of(match[2]) is not None)
            or (spaced and len(re.sub(r"[\W\d_]", "", match[2])) >= 2 and match[2].casefold() != "percent")
        ):
            text = match[1]
    return text
