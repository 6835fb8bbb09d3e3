"""How long something took or takes, in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """`under 1 s`, `12 s`, `6 min 5 s`, `25 min`, `2 h 10 min`: no finer than a reader wants it."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 90:
        return f"{round(seconds)} s"
    if seconds < 600:
        return _two(round(seconds), 60, "min", "s")
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else _two(minutes, 60, "h", "min")


def estimated(seconds: float) -> str:
    """The same of a time that is not known to the second: whole minutes from one and a half on."""
    return duration(seconds if seconds < 90 else 60 * round(seconds / 60))


def _two(count: int, per: int, large: str, small: str) -> str:
    whole, rest = divmod(count, per)
    return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"
