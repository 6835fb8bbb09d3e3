"""The table over seeds: pairing of equal seeds, spread, and what does not belong in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from latent_core.report import Provenance, build_entries, render_report
from latent_core.report.plots import looks
from latent_core.report.seeds import over_seeds
from tests.support.evaluated import evaluated


def _entries(rows: Callable[..., Any], correct: dict[tuple[str, int | None], int]) -> list[Any]:
    """Evaluations at ratio 1.0 of models and seeds, with so many right answers of eight."""
    return build_entries([evaluated(model, rows(count, 100), seed=seed) for (model, seed), count in correct.items()])


def test_over_seeds_pairs_equal_seeds_and_gives_mean_and_sample_deviation(rows: Callable[..., Any]) -> None:
    correct = {("standard", 1): 2, ("standard", 2): 6, ("dual", 2): 8, ("dual", 1): 4, ("base", None): 1}
    standard, dual = over_seeds(_entries(rows, correct))
    assert (standard["variant"], standard["seeds"], standard["against_standard"]) == ("standard", 2, None)
    assert standard["accuracy"] == "50.0 ± 35.4"  # of 2/8 and 6/8: (0.5 / sqrt 2) off
    assert dual["against_standard"] == "+25.0 ± 0.0"  # both seeds gained two of eight questions
    assert dual["each_seed"] == "100.0, 50.0"


def test_over_seeds_gives_the_reasoning_ratio_where_every_seed_has_one(rows: Callable[..., Any]) -> None:
    lengths = {(1, 1.0): 100, (1, 0.5): 60, (2, 1.0): 100, (2, 0.5): 40}
    made = [evaluated("m", rows(4, tokens), ratio=ratio, seed=seed) for (seed, ratio), tokens in lengths.items()]
    whole, half = over_seeds(build_entries(made))
    assert (whole["reasoning_ratio"], half["reasoning_ratio"]) == ("1.00 ± 0.00", "0.50 ± 0.14")
    assert (half["reasoning_tokens"], half["total_tokens"]) == ("25.0 ± 7.1", "53.5 ± 14.1")
    assert over_seeds(build_entries([*made[1:]]))[0]["reasoning_ratio"] is None


def test_over_seeds_without_a_second_seed_or_an_equal_reference_claims_nothing(rows: Callable[..., Any]) -> None:
    assert over_seeds(_entries(rows, {("standard", None): 4, ("dual", 1): 5})) == []
    unpaired = {("standard", 1): 2, ("standard", 2): 6, ("dual", 1): 8, ("dual", 3): 4}
    assert over_seeds(_entries(rows, unpaired))[1]["against_standard"] is None


def test_seeds_of_a_variant_look_alike_and_the_page_shows_their_table(rows: Callable[..., Any]) -> None:
    entries = _entries(rows, {("standard", 1): 2, ("standard", 2): 6, ("dual", 1): 8, ("dual", 2): 4})
    drawn = looks(entries)
    assert drawn["dual-seed1"] == drawn["dual-seed2"] != drawn["standard-seed1"]
    page = render_report("t", entries, notes=[], compression=[], accounting=[], provenance=Provenance())
    assert 'id="seeds"' in page and "Against standard" in page
