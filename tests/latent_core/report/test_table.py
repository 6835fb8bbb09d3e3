"""Pairing with ratio 1.0, and the results table in its three forms."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from latent_core.errors import InputError
from latent_core.evaluation.condition import Kind
from latent_core.evaluation.scores import read_scores
from latent_core.report import Evaluation, build_entries
from latent_core.report.numbers import p_value, percent, points
from latent_core.report.table import columns, html_table, markdown_table, read_markdown, results, rich_table
from tests.support.evaluated import evaluated


def _terminal(table: Any, width: int) -> str:
    from rich.console import Console

    target = io.StringIO()
    Console(file=target, width=width).print(table)
    return target.getvalue()


def test_build_entries_pairs_each_condition_with_its_own_ratio_one(evaluations: list[Evaluation]) -> None:
    entries = {(entry.model, entry.condition.ratio): entry for entry in build_entries(evaluations)}
    standard = entries["standard", 0.5]
    assert standard.achieved_ratio == 99.5 / 199.5  # not against dual's 203.5
    assert standard.reasoning_ratio == 48 / 98
    assert standard.difference is not None
    assert standard.difference.accuracy.value == -0.25
    assert standard.difference.mcnemar_p == 0.5  # two questions lost, none won: 2 · (1/2)²
    full = entries["standard", 1.0]
    assert (full.reasoning_ratio, full.achieved_ratio) == (1.0, 1.0)
    assert full.difference is None


def test_build_entries_pairs_a_model_not_trained_on_ratios_with_the_reference(
    rows: Callable[..., Any],
) -> None:
    evaluations = [
        evaluated("base", rows(8, 100), Kind.UNTRAINED, 1.0),
        evaluated("direct", rows(2, 6), Kind.TRAINED, None),
    ]
    base, direct = build_entries(evaluations, reference="base")
    assert direct.difference is not None and direct.difference.accuracy.value == -0.75
    assert direct.achieved_ratio == 9.5 / 103.5
    assert (base.difference, base.achieved_ratio) == (None, 1.0)
    assert build_entries(evaluations)[1].difference is None


def test_build_entries_without_ratio_one_leaves_the_ratio_unknown(evaluations: list[Evaluation]) -> None:
    base = build_entries(evaluations)[0]
    assert (base.reasoning_ratio, base.achieved_ratio, base.reasoning, base.difference) == (None, None, None, None)
    assert base.summary.accuracy.value == 0.5


def test_build_entries_takes_the_trained_condition_as_baseline_before_a_prompt(rows: Callable[..., Any]) -> None:
    made = [(Kind.REDUCE, 1.0, 400), (Kind.RATIO, 1.0, 196), (Kind.RATIO, 0.5, 96)]
    entries = build_entries([evaluated("m", rows(4, tokens), kind, ratio) for kind, ratio, tokens in made])
    assert entries[2].achieved_ratio == 99.5 / 199.5
    assert entries[1].difference is None


def test_build_entries_reads_scores_once_and_only_of_pairs(rows: Callable[..., Any]) -> None:
    read: list[str] = []

    def watched(evaluation: Evaluation, name: str) -> Evaluation:
        def scores() -> Any:
            read.append(name)
            return read_scores(rows(4, 10))

        return replace(evaluation, scores=scores)

    alone = watched(evaluated("base", rows(4, 10), Kind.CONCISE, None), "alone")
    pair = [watched(evaluated("m", rows(4, 10), ratio=ratio), f"m {ratio}") for ratio in (1.0, 0.5, 0.3)]
    entries = build_entries([alone, *pair])
    assert sorted(read) == ["m 0.3", "m 0.5", "m 1.0"]
    assert [sample["question_id"] for sample in entries[0].samples] == ["q0", "q1", "q2", "q3"]


def test_build_entries_shows_the_summary_that_it_is_given(rows: Callable[..., Any]) -> None:
    found = evaluated("m", rows(4, 10))
    other = replace(found, summary=evaluated("m", rows(8, 999)).summary)
    (entry,) = build_entries([other])
    assert (entry.summary.accuracy.value, entry.summary.samples) == (1.0, 8)


def test_build_entries_with_other_questions_names_model_and_condition(rows: Callable[..., Any]) -> None:
    short = evaluated("m", rows(1, 10, questions=4), ratio=0.5)
    with pytest.raises(InputError, match=r"m, ratio 0\.5 against its ratio 1\.0: .*4 questions only in the first"):
        build_entries([evaluated("m", rows(1, 10)), short])


def test_build_entries_refuses_a_condition_given_twice(evaluations: list[Evaluation]) -> None:
    with pytest.raises(InputError, match=r"base, reduce 0\.5 occurs twice"):
        build_entries([*evaluations, evaluations[0]])


def test_results_table_cells_are_the_hand_computed_numbers(evaluations: list[Evaluation]) -> None:
    lines = markdown_table(results(build_entries(evaluations))).splitlines()
    assert len(lines) == 2 + len(evaluations)
    cells = [cell.strip() for cell in lines[4].strip("|").split("|")]
    # Wilson for 6 of 8: 40.9 to 92.9
    assert cells[:5] == ["standard", "ratio 0.5", "8", "75.0 %", "40.9 to 92.9"]
    assert cells[5:] == ["−25.0 (p = 0.50)", "48.0", "0.49", "99.5", "0.50", "0.0 %", "0.0 %", "0.0 %"]
    base = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert (base[7], base[9]) == ("–", "–")


def test_results_table_has_the_same_cells_in_html_markdown_and_terminal(evaluations: list[Evaluation]) -> None:
    entries = build_entries(evaluations)
    html, markdown = html_table(entries), markdown_table(results(entries))
    terminal = _terminal(rich_table(read_markdown(markdown), width=200), 200)
    for entry in entries:
        for column in columns(entries):
            cell = column.cell(entry)
            assert cell in html
            assert cell in markdown
            assert cell in terminal


def test_rich_table_in_a_narrow_terminal_names_what_it_leaves_out(evaluations: list[Evaluation]) -> None:
    printed = _terminal(rich_table(results(build_entries(evaluations)), width=80), 80)
    assert "…" not in printed
    assert "reduce 0.5" in printed
    assert "not shown for lack of room: Questions, Against 1.0" in " ".join(printed.split())
    assert "0.49" in printed, "the ratio that a request is about was left out"


def test_rich_table_shows_what_an_older_report_named_otherwise() -> None:
    older = read_markdown("| Model | Tokens | Achieved ratio |\n| --- | ---: | ---: |\n| m | 99.5 | 0.50 |\n")
    printed = _terminal(rich_table(older, width=20), 20)
    assert "99.5" in printed and "0.50" in printed and "not shown" not in printed


def test_tables_show_a_hostile_model_name_as_text(rows: Callable[..., Any]) -> None:
    name = "[red]a|b</td><script>alert(1)</script>"
    entries = build_entries([evaluated(name, rows(4, 10))])
    assert "<script" not in html_table(entries)
    markdown = markdown_table(results(entries))
    assert "<script" not in markdown
    assert name in _terminal(rich_table(read_markdown(markdown), width=300), 300)
    unescaped = markdown.splitlines()[2].replace("\\|", "")
    assert unescaped.count("|") == len(columns(entries)) + 1


def test_numbers_are_written_with_sign_and_without_false_zeros() -> None:
    assert points(-0.0004) == "0.0"
    assert points(0.0123) == "+1.2"
    assert points(-0.0123) == "−1.2"
    assert percent(2 / 3) == "66.7 %"
    assert [p_value(p) for p in (0.0004, 0.012, 0.5)] == ["p < 0.001", "p = 0.012", "p = 0.50"]


def test_ratios_that_a_model_names_have_a_column_where_one_names_them(rows: Callable[..., Any]) -> None:
    plain, found = evaluated("m", rows(4, 10)), evaluated("auto", rows(4, 10), Kind.AUTO, None)
    named = replace(found, summary=replace(found.summary, echoed={"0.5": 5, "none": 1, "1": 2}))
    table = results(build_entries([plain, named]))
    assert table.titles[-1] == "Named ratios" and not table.number[-1]
    assert [row[-1] for row in table.rows] == ["–", "1: 25 %, 0.5: 62 %, none: 12 %"]
    assert "Named ratios" not in results(build_entries([plain])).titles


def test_reasoning_of_paired_entries_has_its_mean_and_interval(rows: Callable[..., Any]) -> None:
    spread = [row | {"reasoning_tokens": 10 + 2 * place} for place, row in enumerate(rows(4, 40))]
    full, half = build_entries([evaluated("m", rows(4, 80)), evaluated("m", spread, ratio=0.5)])
    assert full.reasoning == (40.0, 40.0, 40.0)
    assert half.reasoning is not None and half.reasoning.value == 17.0
    assert 12 < half.reasoning.low < 15 and 19 < half.reasoning.high < 22


def test_reasoning_that_never_ends_counts_whole_in_the_reasoning_ratio(rows: Callable[..., Any]) -> None:
    """Half of the outputs are stopped at 300 tokens inside their reasoning: not short, but long."""
    cut = [
        row | ({"verdict": "truncated", "tokens": 300, "reasoning_tokens": 300} if place % 2 else {})
        for place, row in enumerate(rows(4, 100))
    ]
    _, half = build_entries([evaluated("m", rows(4, 100)), evaluated("m", cut, ratio=0.5)])
    assert half.reasoning_ratio == (300 + 50) / 2 / 50
