r"""Units of measurement: `5 cm` is not `5 m` but `0.05 m`, and `5` says nothing against either.

A gold answer states its unit or not as its author pleased, and the question often fixes it, so a unit that only one of
two answers has is never held against the other. Where both have one from the table, they must measure the same. Words
that are not in the table ("18 eggs") are not compared.
"""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from typing import NamedTuple

from latent_core.scoring.notation import joined_unit, with_braced_fonts

_DEFINITIONS = {  # the scales are exact: the international foot, pound and gallon
    "length": "mm millimeter millimetre 毫米 мм 1/1000; cm centimeter centimetre 厘米 см 1/100; dm 1/10; "
    "m meter metre 米 м 1; km kilometer kilometre 千米 公里 км 1000; in inch inches 127/5000; ft foot feet 381/1250; "
    "yd yard 1143/1250; mi mile 201168/125",
    "mass": "mg milligram 毫克 мг 1/1000; g gram 克 г 1; kg kilogram 千克 公斤 кг 1000; "
    "oz ounce 45359237/1600000; lb lbs pound 45359237/100000",
    "time": "ms millisecond 1/1000; s sec second 秒 1; min minute 分钟 мин 60; h hr hour 小时 час 3600; "
    "day 天 86400; week 604800",
    "calendar": "month 1; year yr 12",  # not a fixed number of days
    "volume": "ml milliliter millilitre 毫升 мл 1/1000; l liter litre 升 л 1; gal gallon 473176473/125000000; "
    "qt quart 473176473/500000000",
    "dollars": "cent 1/100; dollar usd $ us$ 美元 1; quarter 1/4; dime 1/10; nickel 1/20",
    "euros": "euro eur € 欧元 1",
    "yuan": "yuan rmb cny 元 1",
    "yen": "yen jpy 円 日元 1",
    "rupees": "rupee rs inr ₹ 1",
    "degrees": "degree deg ° 1",
    "minute marks": "' 1",
    "second marks": "'' \" 1",
    "celsius": "celsius 1",
    "fahrenheit": "fahrenheit 1",
    "radians": "radian rad 1",
}


def _table() -> dict[str, tuple[str, Fraction]]:
    table = {}
    for dimension, entries in _DEFINITIONS.items():
        for entry in entries.split(";"):
            *names, scale = entry.split()
            for name in names:
                table[name] = (dimension, Fraction(scale))
                if len(name) > 3 and not name.endswith(("s", "feet", "foot", "inches")):
                    table[f"{name}s"] = table[name]
    return table | {"days": table["day"], "mins": table["min"], "hrs": table["hr"], "yrs": table["yr"]}


_UNITS = _table()
_PER_HOUR = {"mph": "miles per hour", "kph": "km per hour", "mps": "m per second"}
_MARKED_LENGTHS = {"minute marks": "foot", "second marks": "inch"}
_POWERS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cu": 3, "cubed": 3}
_NUMBER = (
    r"\d+ \d+/\d+|\d+ ?\\[dt]?frac\{\d+\}\{\d+\}|"
    r"[+-]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:/\d+)?|[+-]?\\[dt]?frac\{\d+\}\{\d+\}"
)
_MONEY = (
    r"(?:(?:\\text\s?\{\s?)?(?:US)?\\?\$\s?\}?|\\text\s?\{\s?USD\s?\}|USD|"
    r"\\euro(?![A-Za-z])|€|EUR|₹|Rs\.?|INR|CNY|RMB|JPY)"
)
_MEASURED = re.compile(
    rf"^(?P<money>{_MONEY})?\s*(?P<number>{_NUMBER}|.{{1,80}}?(?=\\(?:text|mbox|mathrm)))"
    r"(?:\s*(?P<degree>\^\{?\\circ\}?|\u00b0)|\s*\\(?:text|mbox|mathrm|textrm)\s*\{(?P<text>[^{}]{1,60})\}"
    r"|(?P<plain>\s?(?:[^\W\d_][^\W\d_]*(?:[ /.]+[^\W\d_]+)*\.?|[€₹]|\\?\$|''|['\"])))?"
    r"(?:\^\{?(?P<power>[23])\}?|(?P<raised>[\u00b2\u00b3]))?$"
)
_TEMPERATURE = re.compile(
    r"(?:\^\s?\{?\s?\\circ\s?\}?|\u00b0)\s?(?:\\(?:text|mathrm)\s?\{\s?([CF])\s?\}|([CF]))$|\u2103$"
)
_SCIENTIFIC = re.compile(r"([+-]?\d+(?:\.\d+)?)\s?\\(?:times|cdot)\s?10\s?\^\s?\{?\s?(-?\d{1,3})\s?\}?")
_TEMPERATURES = {"C": "celsius", "F": "fahrenheit", None: "celsius"}
_CLOCK = re.compile(
    r"^(?P<hour>\d{1,2})(?::(?P<minute>[0-5]\d))?\s*(?:\\(?:text|mbox|mathrm|textrm)\s*\{\s*)?(?:(?P<half>[ap])\.?\s?m\.?\s*\}?)?$",
    re.IGNORECASE,
)


class Measure(NamedTuple):
    """A number with its unit: what it measures with which powers, one unit in the base unit, and the number's text."""

    dimension: tuple[tuple[str, int], ...]
    scale: Fraction
    number: str


def measure(text: str) -> Measure | None:
    """What an answer measures; None where it has no unit of the table."""
    text = joined_unit(with_braced_fonts(text.strip().strip("$").replace("\\!", "").replace("{,}", ",")))
    text = text.replace("\\,", " ").replace("\\ ", " ").replace("~", " ").rstrip(". ")
    match = _MEASURED.match(_TEMPERATURE.sub(lambda scale: rf"\text{{{_TEMPERATURES[scale[1] or scale[2]]}}}", text))
    if match is None:
        return None
    if match["degree"]:
        return Measure((("degrees", 1),), Fraction(1), match["number"])
    words = match["text"] or match["plain"]
    if match["money"] and words is None:
        words = re.sub(r"\\text|\\(?=euro|\$)|[{} .]", "", match["money"])
    elif words is None or (match["plain"] and re.fullmatch("[A-Za-z]", words)):
        return None  # "5m" may be a product
    power = int(match["power"]) if match["power"] else {"\u00b2": 2, "\u00b3": 3}.get(match["raised"] or "", 1)
    unit = _unit(words, power)
    return None if unit is None else Measure(*unit, match["number"])


def unit_of(words: str) -> tuple[tuple[tuple[str, int], ...], Fraction] | None:
    """Dimension and size, in the base unit, of a unit's words; None for what the table does not hold."""
    return _unit(words, 1)


def same_measure(answer: str, gold: str) -> bool | None:
    """False where the units of two answers cannot agree, True or False where converting decides, else None."""
    ours, theirs = measure(answer), measure(gold)
    if ours is None or theirs is None:
        return None
    ours, theirs = _mark_as_length(ours, theirs), _mark_as_length(theirs, ours)
    if not _comparable(ours.dimension, theirs.dimension):
        return False
    first, second = _value(ours.number), _value(theirs.number)
    if ours.dimension != theirs.dimension or (ours.scale == theirs.scale and None in (first, second)):
        return None  # the numbers alone decide
    return first is not None and second is not None and first * ours.scale == second * theirs.scale


def _mark_as_length(one: Measure, other: Measure) -> Measure:
    """`7"` in inches and `7'` in feet, where the other is a length."""
    name = one.dimension[0][0] if len(one.dimension) == 1 else ""
    if name not in _MARKED_LENGTHS or other.dimension != (("length", 1),):
        return one
    return Measure(other.dimension, _UNITS[_MARKED_LENGTHS[name]][1], one.number)


def takes_marks(text: str) -> bool:
    """Whether an answer is a length or an angle, whose unit may be written as a mark (5' for 5 feet)."""
    measured = measure(text)
    return measured is not None and measured.dimension in ((("length", 1),), (("degrees", 1),))


def same_time(answer: str, gold: str) -> bool | None:
    """Whether two times of day agree where one says a.m. or p.m. (2:30 p.m. is 14:30); else None."""
    ours, theirs = (
        _CLOCK.match(text.strip().strip("$").replace("\\!", "").replace("{:}", ":").replace("~", " "))
        for text in (answer, gold)
    )
    if ours is None or theirs is None or ours["half"] is theirs["half"] is None:
        return None
    if any(clock["minute"] is clock["half"] is None for clock in (ours, theirs)):
        return None  # "3" for 3 p.m.: the numbers decide
    minutes = _minutes(ours), _minutes(theirs)
    if ours["half"] and theirs["half"]:
        return minutes[0] == minutes[1]
    # The question often asks for "o'clock" in one half of the day.
    unsaid = ours if ours["half"] is None else theirs
    return minutes[0] == minutes[1] or (int(unsaid["hour"]) <= 12 and (minutes[0] - minutes[1]) % (12 * 60) == 0)


def _minutes(clock: re.Match[str]) -> int:
    hour = int(clock["hour"])
    if clock["half"]:
        hour = hour % 12 + (12 if clock["half"].casefold() == "p" else 0)
    return 60 * hour + int(clock["minute"] or 0)


def _comparable(first: tuple[tuple[str, int], ...], second: tuple[tuple[str, int], ...]) -> bool:
    """Equal dimensions, or one of them lacks only its power, as in "864 inches" for an area."""
    if len(first) != len(second) or [name for name, _ in first] != [name for name, _ in second]:
        return False
    return all(
        one == other or (1 in (one, other) and min(one, other) > 0)
        for (_, one), (_, other) in zip(first, second, strict=True)
    )


def _unit(words: str, power: int) -> tuple[tuple[tuple[str, int], ...], Fraction] | None:
    """Dimension and scale of words such as "square inches", "miles per hour", "kg*m/s^2"; None if one is unknown."""
    words = words.casefold().strip(" .").replace("\\", "")
    parts = re.split(r"\s*/\s*|\s+per\s+|\s+an?\s+", _PER_HOUR.get(words, words))
    dimensions: Counter[str] = Counter()
    scale = Fraction(1)
    for place, part in enumerate(parts):
        factors = re.split(r"\s*[*\u00b7\u22c5]\s*", part)
        for factor_place, factor in enumerate(factors):
            names, exponent = _raised(factor)
            if len(names) != 1 or names[0] not in _UNITS:
                return None
            is_last = place == len(parts) - 1 and factor_place == len(factors) - 1
            exponent = power if is_last and exponent == 1 else exponent
            exponent = exponent if place == 0 else -exponent
            dimension, size = _UNITS[names[0]]
            dimensions[dimension] += exponent
            scale *= size**exponent
    return tuple(sorted(dimensions.items())), scale


def _raised(factor: str) -> tuple[list[str], int]:
    """The words of a factor, and the power they are raised to: "square feet", "s^-1", "m\u00b2"."""
    exponent = 1
    if match := re.fullmatch(r"(.*[^\W\d_])(?:\^?(-?[1-4])|([\u00b2\u00b3]))", factor):
        factor, exponent = match[1], int(match[2] or {"\u00b2": 2, "\u00b3": 3}[match[3]])
    names = factor.split()
    exponent = next((_POWERS[name] for name in names if name in _POWERS), exponent)
    return [name for name in names if name not in _POWERS], exponent


def _value(number: str) -> Fraction | None:
    number = number.replace(",", "").strip()
    if mixed := re.fullmatch(r"(\d+) ?((?<= )\d+/\d+|\\[dt]?frac.*)", number):
        part = _value(mixed[2])
        return None if part is None else int(mixed[1]) + part
    if fraction := re.fullmatch(r"([+-]?)\\[dt]?frac\{(\d+)\}\{(\d+)\}", number):
        number = f"{fraction[1]}{fraction[2]}/{fraction[3]}"
    if scientific := _SCIENTIFIC.fullmatch(number):
        return Fraction(scientific[1]) * Fraction(10) ** int(scientific[2])
    if not re.fullmatch(r"[+-]?(?:\d+(?:\.\d+)?|\.\d+|\d+/\d+)", number) or re.search(r"/0+$", number):
        return None
    return Fraction(number)
