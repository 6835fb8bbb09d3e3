"""Paired comparisons of a report, with one training of each kind and with several seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from latent_core.evaluation.condition import Kind
from latent_core.evaluation.multiple import holm
from latent_core.evaluation.statistics import mcnemar_exact, paired_bootstrap
from latent_core.report import Evaluation, build_entries
from latent_core.report.paired import build_paired
from latent_core.report.paired_tables import (
    AGAINST_BASE,
    AGAINST_FULL,
    AT_RATIOS,
    AT_TOKENS,
    paired_markdown,
    paired_tables,
)
from tests.support.evaluated import evaluated

Rows = Callable[..., list[dict[str, Any]]]


def made(rows: Rows, seeds: tuple[int | None, ...] = (None,)) -> list[Evaluation]:
    found = [evaluated("base", rows(80, 200, questions=100), Kind.UNTRAINED, 1.0)]
    for model, right in (("standard", {1.0: 80, 0.5: 60}), ("dual", {1.0: 78, 0.5: 70})):
        for number, seed in enumerate(seeds):
            for ratio, count in right.items():
                kept = rows(count - number, int(200 * ratio), questions=100)
                found.append(evaluated(model, kept, ratio=ratio, seed=seed))
    return found


def test_paired_of_one_training_agrees_with_the_bootstrap_and_mcnemar_of_the_results(rows: Rows) -> None:
    """The interval is wider by the variance of one question, and a normal one, so the two agree to half a point."""
    paired = build_paired(made(rows))
    row = next(item for item in paired.against_full if item.difference.pair.arm == "standard").difference
    before, after = ([float(place < right) for place in range(100)] for right in (80, 60))
    plain = paired_bootstrap(before, after, seed=1)
    assert row.difference is not None and row.mcnemar is not None
    assert row.difference.value == pytest.approx(plain.value) == pytest.approx(-0.2)
    assert row.difference.low == pytest.approx(plain.low, abs=0.01) and row.difference.low < plain.low + 0.005
    assert row.mcnemar.p == mcnemar_exact(0, 20)


def test_paired_corrects_by_holm_over_each_table(rows: Rows) -> None:
    paired = build_paired(made(rows))
    for table in ([row.difference for row in paired.against_base], paired.at_ratios):
        p_values = [item.p for item in table if item.p is not None]
        assert len(p_values) == len(table) > 1
        assert [item.adjusted_p for item in table] == pytest.approx(holm(p_values))


def test_paired_equal_tokens_are_read_off_lines_between_ratios(rows: Rows) -> None:
    """Both reach 50 to 100 reasoning tokens; dual loses 8 points there, standard 20, so on average dual is 4 above."""
    (row,) = build_paired(made(rows)).at_tokens
    assert row.low_tokens == 50 and row.high_tokens == 100
    assert row.difference is not None and row.difference.value == pytest.approx(0.04)


def test_paired_with_seeds_has_one_row_a_variant_and_wider_intervals(rows: Rows) -> None:
    alone, several = build_paired(made(rows)), build_paired(made(rows, seeds=(1, 2, 3)))
    assert several.seeds == 3 and len(several.against_base) == len(alone.against_base) == 4
    legends = [table.legend for table in paired_tables(several)]
    assert all("over 3 seeds and questions" in legend for legend in legends)
    mean = next(row for row in several.against_base if row.condition == "ratio 0.5").difference.difference
    assert mean is not None and mean.value == pytest.approx(-0.21)


def test_paired_leaves_out_and_names_a_model_with_other_questions(rows: Rows) -> None:
    others = [evaluated("dual", rows(50, 100, questions=90), ratio=ratio) for ratio in (1.0, 0.5)]
    paired = build_paired([item for item in made(rows) if item.condition.model != "dual"] + others)
    assert list(paired.skipped) == ["dual"]
    assert {row.difference.pair.arm for row in paired.against_base} == {"standard"} and not paired.at_ratios


def test_paired_compares_a_policy_with_the_model_it_started_from(rows: Rows) -> None:
    kinds = {Kind.START: 60, Kind.GRPO: 80}
    found = [evaluated("policy", rows(count, 100, questions=100), kind, 1.0) for kind, count in kinds.items()]
    paired = build_paired(found)
    assert [item.pair for item in paired.at_ratios] == [("policy, grpo", "policy, start")]
    assert not paired.against_base and not paired.at_tokens


def test_paired_tables_are_those_that_have_rows_and_become_markdown(rows: Rows) -> None:
    evaluations = made(rows)
    paired = build_paired(evaluations)
    assert [table.title for table in paired_tables(paired)] == [AGAINST_BASE, AGAINST_FULL, AT_RATIOS, AT_TOKENS]
    assert [table.title for table in paired_tables(build_paired(evaluations[:1]))] == []
    text = paired_markdown(build_entries(evaluations), paired)
    assert "- **Best accuracy:** 80.0 %" in text and f"## {AT_TOKENS}" in text and "| dual | standard |" in text
