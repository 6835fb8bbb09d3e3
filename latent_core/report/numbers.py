"""How numbers are written in a report: the same everywhere, with a dash for what is not known."""

from __future__ import annotations

DASH = "–"
MINUS = "−"


def whole(value: int) -> str:
    """1234567 → 1,234,567."""
    return f"{value:,}".replace("-", MINUS)


def decimal(value: float) -> str:
    """A mean: no decimal from 100 on, else one."""
    return (f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}").replace("-", MINUS)


def nats(value: float, *, signed: bool = False) -> str:
    """A log-probability, or with its sign a difference of two: two decimals; what rounds to zero has no sign."""
    text = f"{value:+.2f}" if signed else f"{value:.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text.replace("-", MINUS)


def percent(fraction: float, *, unit: str = " %") -> str:
    """0.4567 → 45.7 %."""
    return f"{100 * fraction:.1f}{unit}".replace("-", MINUS)


def points(fraction: float) -> str:
    """A difference of two fractions, in percentage points with its sign; what rounds to zero has none."""
    text = f"{100 * fraction:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", MINUS)


def p_value(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def free(value: object) -> str:
    """A value of a table whose columns are not known beforehand."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return whole(value)
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def label(key: str) -> str:
    """A column's key as a heading: achieved_ratio → Achieved ratio."""
    words = key.replace("_", " ").strip()
    return "URI" if words == "uri" else words[:1].upper() + words[1:]
