"""Variants trained with several seeds: each seed is a model of its own, and this table says how far they spread."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from latent_core.evaluation.condition import Kind
from latent_core.report.entries import ReportEntry
from latent_core.report.numbers import decimal, percent, points


def over_seeds(entries: Sequence[ReportEntry], reference: str = "standard") -> list[Mapping[str, Any]]:
    """One row a variant and condition that at least two seeds were trained for; empty without seeds.

    Means over seeds, with the sample standard deviation (n - 1) after ±. "Against `reference`" pairs equal seeds of
    the two variants; it is None for the reference itself, and where the same seeds are not there.
    """
    seeds: dict[tuple[str, str], dict[int, ReportEntry]] = {}
    for entry in entries:
        condition = entry.condition
        if condition.kind is Kind.RATIO and condition.seed is not None:
            seeds.setdefault((condition.model, entry.name), {})[condition.seed] = entry
    rows: list[Mapping[str, Any]] = []
    for (variant, name), found in seeds.items():
        if len(found) < 2:
            continue
        accuracies = {seed: entry.summary.accuracy.value for seed, entry in found.items()}
        others = {seed: entry.summary.accuracy.value for seed, entry in seeds.get((reference, name), {}).items()}
        paired = variant != reference and others.keys() == accuracies.keys()
        gains = [accuracies[seed] - others[seed] for seed in accuracies] if paired else []
        reasoning = [entry.summary.reasoning_tokens for entry in found.values()]
        ratios = [entry.reasoning_ratio for entry in found.values() if entry.reasoning_ratio is not None]
        total = [entry.summary.tokens.value for entry in found.values()]
        rows.append(
            {
                "variant": variant,
                "condition": name,
                "seeds": len(found),
                "accuracy": f"{_percent(statistics.mean(accuracies.values()))} ± {_spread(accuracies.values())}",
                "each_seed": ", ".join(map(_percent, accuracies.values())),
                f"against_{reference}": f"{points(statistics.mean(gains))} ± {_spread(gains)}" if gains else None,
                "reasoning_tokens": f"{decimal(statistics.mean(reasoning))} ± {decimal(statistics.stdev(reasoning))}",
                "reasoning_ratio": f"{statistics.mean(ratios):.2f} ± {statistics.stdev(ratios):.2f}"
                if len(ratios) == len(found)
                else None,
                "total_tokens": f"{decimal(statistics.mean(total))} ± {decimal(statistics.stdev(total))}",
            }
        )
    return rows


def _percent(fraction: float) -> str:
    return percent(fraction, unit="")


def _spread(fractions: Iterable[float]) -> str:
    return _percent(statistics.stdev(fractions))
