"""Lengths and cost: quantiles, accuracy per token, and speeds where something was generated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from latent_core.evaluation.condition import Kind
from latent_core.report import Pace, Provenance, build_entries, render_report
from latent_core.report.cost import cost_rows
from tests.support.evaluated import evaluated


def test_cost_rows_are_the_hand_computed_numbers_and_name_a_model_once(rows: Callable[..., Any]) -> None:
    entries = build_entries(
        [
            evaluated("standard", rows(6, 196), pace=Pace(seconds=16.0, tokens_per_second=99.75)),
            evaluated("standard", rows(0, 96), Kind.TRUNCATE, 0.5),
        ]
    )
    first, second = cost_rows(entries)
    # Eight questions of 196 to 203 tokens, the first six right: 0.75 of accuracy in 199.5 tokens.
    assert (first["model"], first["median"]) == ("standard", 199.5)
    assert first["tokens of right answers"] == 198.5
    assert round(first["accuracy per 1000 tokens"], 6) == round(100 * 1000 * 0.75 / 199.5, 6)
    assert (first["seconds a question"], first["tokens a second"]) == (2.0, 99.75)
    assert (second["model"], second["tokens of right answers"], second["tokens a second"]) == ("", None, None)


def test_page_shows_cost_with_dashes_for_what_was_not_generated(rows: Callable[..., Any]) -> None:
    entries = build_entries([evaluated("standard", rows(0, 96), Kind.TRUNCATE, 0.5)])
    page = render_report("t", entries, notes=[], compression=[], accounting=[], provenance=Provenance())
    section = page[page.index('id="cost"') : page.index('id="levels"')]
    assert "Accuracy per 1000 tokens" in section and section.count('<td class="number">–</td>') == 0
    assert section.count("<td>–</td>") == 3  # right answers, seconds, tokens a second: columns without any number
