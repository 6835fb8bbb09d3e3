"""What answers cost: their lengths beyond the mean, accuracy per token, and how fast they were generated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from latent_core.report.entries import ReportEntry


def cost_rows(entries: Sequence[ReportEntry]) -> list[Mapping[str, Any]]:
    """One row an entry, keys as headings. Speeds are dashes where nothing was generated (truncation).

    Accuracy per 1000 tokens is accuracy in points over mean output tokens in thousands.
    """
    above = [None, *(entry.model for entry in entries)]
    return [_row(entry, entry.model != before) for entry, before in zip(entries, above, strict=False)]


def _row(entry: ReportEntry, first: bool) -> dict[str, Any]:
    summary, pace = entry.summary, entry.pace
    return {
        "model": entry.model if first else "",  # as in the results table
        "condition": entry.name,
        "5\N{NO-BREAK SPACE}%": summary.token_quantiles[5],
        "median": summary.token_quantiles[50],
        "95\N{NO-BREAK SPACE}%": summary.token_quantiles[95],
        "tokens of right answers": summary.correct_tokens,
        "accuracy per 1000 tokens": None if summary.efficiency is None else 100 * summary.efficiency,
        "seconds a question": None if pace is None else pace.seconds / summary.questions,
        "tokens a second": None if pace is None else pace.tokens_per_second,
    }
