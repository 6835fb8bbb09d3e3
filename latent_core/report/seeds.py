"""Variants trained with several seeds: each seed is a model of its own, and this table says how far they spread."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from latent_core.report.entries import TRAINED, ReportEntry
from latent_core.report.numbers import decimal, percent, points

_SEED = "-seed"


def seeded(variant: str, seed: int) -> str:
    """The model name of one seed of a variant."""
    return f"{variant}{_SEED}{seed}"


def variant_of(model: str) -> str:
    """The variant that a model name belongs to, with or without a seed."""
    name, mark, seed = model.rpartition(_SEED)
    return name if mark and seed.isdigit() else model


def over_seeds(entries: Sequence[ReportEntry], reference: str = "standard") -> list[Mapping[str, Any]]:
    """One row a variant and condition that at least two seeds were trained for; empty without seeds.

    Means over seeds, with the sample standard deviation (n - 1) after ±. "Against `reference`" pairs equal seeds of
    the two variants; it is None for the reference itself, and where the same seeds are not there.
    """
    seeds: dict[tuple[str, str], dict[str, ReportEntry]] = {}
    for entry in entries:
        if entry.kind == TRAINED and variant_of(entry.model) != entry.model:
            seeds.setdefault((variant_of(entry.model), entry.condition), {})[entry.model.rpartition(_SEED)[2]] = entry
    rows: list[Mapping[str, Any]] = []
    for (variant, condition), found in seeds.items():
        if len(found) < 2:
            continue
        accuracies = {seed: entry.summary.accuracy.value for seed, entry in found.items()}
        others = {seed: entry.summary.accuracy.value for seed, entry in seeds.get((reference, condition), {}).items()}
        paired = variant != reference and others.keys() == accuracies.keys()
        gains = [accuracies[seed] - others[seed] for seed in accuracies] if paired else []
        tokens = [entry.summary.tokens.value for entry in found.values()]
        rows.append(
            {
                "variant": variant,
                "condition": condition,
                "seeds": len(found),
                "accuracy": f"{_percent(statistics.mean(accuracies.values()))} ± {_spread(accuracies.values())}",
                "each_seed": ", ".join(map(_percent, accuracies.values())),
                f"against_{reference}": f"{points(statistics.mean(gains))} ± {_spread(gains)}" if gains else None,
                "tokens": f"{decimal(statistics.mean(tokens))} ± {decimal(statistics.stdev(tokens))}",
            }
        )
    return rows


def _percent(fraction: float) -> str:
    return percent(fraction, unit="")


def _spread(fractions: Iterable[float]) -> str:
    return _percent(statistics.stdev(fractions))
