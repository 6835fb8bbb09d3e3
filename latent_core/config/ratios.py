"""Compression ratios, as every stage takes them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Ratio = Annotated[float, Field(gt=0, le=1)]


Ratios = Annotated[tuple[Ratio, ...], Field(min_length=1)]


def distinct(field: str, ratios: tuple[float, ...]) -> tuple[float, ...]:
    """The ratios as they are; raises ValueError, naming the field, where two are equal to six digits.

    They are written so in tables, and in the roles that evaluations have.
    """
    if len({f"{ratio:g}" for ratio in ratios}) != len(ratios):
        raise ValueError(f"{field}: a ratio appears twice, to six digits, in {list(ratios)}")
    return ratios
