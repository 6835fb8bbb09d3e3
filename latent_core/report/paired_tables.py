"""The tables of a report's paired comparisons, with what a reader must know of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from latent_core.evaluation.statistics import Estimate
from latent_core.report.comparison_tables import differences_table, interval_cell
from latent_core.report.entries import ReportEntry
from latent_core.report.headlines import conclusion, headlines
from latent_core.report.numbers import DASH, p_value, points, whole
from latent_core.report.paired import RESAMPLES, Kept, Paired
from latent_core.report.table import Results, markdown_table, markdown_text

AGAINST_BASE, AGAINST_FULL = "Trained against untrained", "Against ratio 1 of the same model"
AT_RATIOS, AT_TOKENS = "Variants at equal ratio", "Variants at equal reasoning tokens"


class PairedTable(NamedTuple):
    """A table and its legend."""

    title: str
    legend: str
    table: Results


def paired_tables(paired: Paired) -> list[PairedTable]:
    """Those that have rows."""
    made = [
        (AGAINST_BASE, "Accuracy of each trained model minus that of the untrained one.", paired.against_base),
        (AGAINST_FULL, "Accuracy at each ratio minus that of the same model at ratio 1.", paired.against_full),
    ]
    found = [
        PairedTable(
            title, f"{what} {_how(paired, len(rows))} {_non_inferior(paired)}", _kept_table(rows, paired.margin)
        )
        for title, what, rows in made
        if rows
    ]
    variants = [
        (AT_RATIOS, "Both asked for the same ratio; they may write different lengths.", paired.at_ratios),
        (
            AT_TOKENS,
            "Accuracy read off straight lines between a model’s ratios, on average over the reasoning tokens that both "
            "reach; nothing is extrapolated.",
            paired.at_tokens,
        ),
    ]
    for title, what, differences in variants:
        if differences:
            count = sum(item.adjusted_p is not None for item in differences)
            legend = f"{what} {_how(paired, count)} “No difference shown” does not mean that there is none."
            found.append(PairedTable(title, legend, differences_table(differences, paired.margin)))
    return found


def paired_markdown(entries: Sequence[ReportEntry], paired: Paired) -> str:
    """The headlines as a list, and the tables of the comparisons under their titles."""
    lines = [
        f"- **{markdown_text(item.title)}:** {item.value}. {markdown_text(item.detail)}"
        for item in headlines(entries, paired)
    ]
    parts = ["\n".join(lines) + "\n" if lines else ""]
    parts += [f"## {title}\n\n{markdown_table(table)}\n{legend}\n" for title, legend, table in paired_tables(paired)]
    return "\n".join(parts)


def _kept_table(rows: Sequence[Kept], margin: float) -> Results:
    titles = ["Model", "Condition", "Difference", "95 %", "Conclusion", "Holm's p", "McNemar, Holm"]
    titles += ["Non-inferior, Holm", "Reasoning ratio", "95 % of it", "Total ratio"]
    number = [title not in ("Model", "Condition", "Conclusion") for title in titles]
    return Results(titles, number, [_kept_cells(row, margin) for row in rows])


def _kept_cells(row: Kept, margin: float) -> list[str]:
    found = row.difference
    assert found.difference is not None and found.adjusted_p is not None
    return [
        found.pair.arm,
        row.condition,
        points(found.difference.value),
        interval_cell(found.difference),
        conclusion(row, margin),
        p_value(found.adjusted_p),
        DASH if found.mcnemar is None else p_value(found.mcnemar.adjusted_p),
        DASH if row.noninferiority_p is None else p_value(row.noninferiority_p),
        DASH if row.reasoning is None else f"{row.reasoning.value:.2f}",
        _ratios(row.reasoning),
        DASH if row.tokens is None else f"{row.tokens.value:.2f}",
    ]


def _ratios(estimate: Estimate | None) -> str:
    return DASH if estimate is None else f"{estimate.low:.2f} to {estimate.high:.2f}"


def _how(paired: Paired, count: int) -> str:
    over = (
        f"over questions alone, so they hold for these models and not for other seeds ({whole(RESAMPLES)} resamples)"
        if paired.seeds == 1
        else f"over {paired.seeds} seeds and questions ({whole(RESAMPLES)} resamples)"
    )
    return (
        f"Points, paired on {whole(paired.questions)} questions; intervals are Student’s, with variances bootstrapped "
        f"{over}. Holm’s correction is over the rows of this table ({count})."
    )


def _non_inferior(paired: Paired) -> str:
    limit = f"{100 * paired.margin:g} points"
    return (
        f"Non-inferior: one-sided test at 2.5 % that the loss is less than {limit} (the margin), by Holm; where it "
        "fails, a loss that large is not excluded, whatever the other p-values are. Reasoning and total ratio: mean "
        "tokens relative to what the accuracy is compared with."
    )
