"""Which ratio a model named first, where it names one: asked for a ratio, and left to choose (`auto`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from latent_core.generate.completions import ECHOED

NONE = "none"


def echoed_ratios(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Samples by the ratio that they name, the highest first, then those that name none; empty without the column."""
    counts = Counter(row[ECHOED] for row in rows if ECHOED in row)
    named = sorted((ratio for ratio in counts if ratio is not None), reverse=True)
    unnamed = {NONE: counts[None]} if counts[None] else {}
    return {f"{ratio:g}": counts[ratio] for ratio in named} | unnamed
