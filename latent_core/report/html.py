"""The report as one HTML file that needs nothing else: no network, no script, figures inline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from latent_core.report.cost import cost_rows
from latent_core.report.disagreements import DisagreeingPair
from latent_core.report.entries import Place, Provenance, ReportEntry, Row, without_baseline
from latent_core.report.headlines import headlines
from latent_core.report.inline import both_widths, theme_of_figures, themed
from latent_core.report.numbers import free, label, percent, whole
from latent_core.report.paired import Paired
from latent_core.report.paired_tables import paired_tables
from latent_core.report.plots import figures, looks
from latent_core.report.runs import RanStage, environments, sampling_rows, training_rows
from latent_core.report.samples import compared_samples
from latent_core.report.seeds import over_seeds
from latent_core.report.table import columns, html_table, logprob_cell, logprob_difference_cell
from latent_core.report.training_plots import Figured

TEMPLATE = Path(__file__).with_name("template.html.jinja")
STYLE = Path(__file__).with_name("style.css")

FIGURES = {
    "pareto": (
        "Accuracy over mean reasoning tokens, with 95 % intervals. Further up and to the left is better; the grey step "
        "joins the conditions that no other beats in both. Labels are requested ratios; dotted lines with hollow "
        "markers are baselines without training."
    ),
    "ratios": (
        "Requested ratio against the ratio of reasoning tokens, with 95 % intervals. On the dashed line a model "
        "reasons exactly as much as it was asked to; above it, it reasons more."
    ),
    "lengths": (
        "Output lengths. Each panel is one evaluation on the same axis, its height scaled to its own highest bin; the "
        "upright line is the median, “cut” the share stopped at the length limit, a dash what was not evaluated."
    ),
}


class Plain(NamedTuple):
    """A table whose columns are the rows' own keys."""

    titles: list[str]
    number: list[bool]
    rows: list[list[str]]


def render_report(
    title: str,
    entries: Sequence[ReportEntry],
    *,
    notes: Sequence[str],
    compression: Sequence[Mapping[str, Any]],
    accounting: Sequence[Mapping[str, Any]],
    provenance: Provenance,
    more_figures: Sequence[Figured] = (),
    paired: Paired | None = None,
    ran: Sequence[RanStage] = (),
    disagreeing: Sequence[DisagreeingPair] = (),
    places: Sequence[Place] = (),
    files: Sequence[str] = (),
) -> str:
    """The page. The same input gives the same text.

    `notes` are sentences in plain text. `compression` (requested and achieved ratio, answer retention, …) and
    `accounting` (rows of each stage, kept and why not) become tables as they are: keys are headings, and a key that a
    row lacks shows a dash. `more_figures` stand after those of the evaluations. `ran` are the stages whose settings the
    page states, `files` names of files beside the page. All text is escaped.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    paired = Paired() if paired is None else paired
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    drawn, narrow = figures(entries), figures(entries, narrow=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        style=Markup(STYLE.read_text(encoding="utf-8") + theme_of_figures()),
        title=title,
        subtitle=_subtitle(entries),
        notes=[*notes, *_own_notes(entries), *_skipped_notes(paired)],
        findings=headlines(entries, paired),
        paired=paired_tables(paired),
        trainings=_plain(training_rows(ran)),
        samplings=_plain(sampling_rows(ran)),
        ran_in=environments(ran),
        disagreeing=disagreeing,
        places=places,
        files=files,
        results=Markup(html_table(entries)),  # escapes every cell itself
        columns=columns(entries),
        figures=[
            (one.name, one.caption, both_widths(one))
            for one in (
                *(Figured(name, FIGURES[name], drawn[name], narrow[name]) for name in FIGURES if name in drawn),
                *more_figures,
            )
        ],
        levels=_levels(entries),
        cost=_plain(cost_rows(entries)),
        at_k=_plain(_at_k(entries)),
        seeds=_plain(over_seeds(entries)),
        logprob=_plain(_logprob(entries)),
        compression=_plain(compression),
        questions=compared_samples(entries),
        colours={model: themed(look.colour) for model, look in looks(entries).items()},
        accounting=_plain(accounting),
        provenance=_plain(provenance.rows),
        environment=dict(provenance.environment),
    )


def _subtitle(entries: Sequence[ReportEntry]) -> str:
    if not entries:
        return "No evaluations."
    models = len({entry.model for entry in entries})
    counts = sorted({entry.summary.questions for entry in entries})
    questions = whole(counts[0]) if len(counts) == 1 else f"{whole(counts[0])} to {whole(counts[-1])}"
    return (
        f"{models} {'model' if models == 1 else 'models'}, {len(entries)} "
        f"{'evaluation' if len(entries) == 1 else 'evaluations'}, {questions} questions each"
    )


def _own_notes(entries: Sequence[ReportEntry]) -> list[str]:
    notes = [
        f"{model} was not evaluated at ratio 1.0, so its ratios and differences are not known."
        for model in without_baseline(entries)
    ]
    if len({entry.summary.questions for entry in entries}) > 1:
        notes.append("The evaluations do not hold the same number of questions; compare across models with care.")
    return notes


def _skipped_notes(paired: Paired) -> list[str]:
    return [
        f"{name} holds other questions, ratios or seeds than the first model, so it is in no paired comparison."
        for name in paired.skipped
    ]


def _levels(entries: Sequence[ReportEntry]) -> dict[str, Any] | None:
    """Accuracy per level, one row an entry; None where no evaluation has levels."""
    names = sorted({name for entry in entries for name in entry.summary.levels})
    if not names:
        return None
    rows = []
    for entry in entries:
        cells = [_level_cell(entry.summary.levels.get(name)) for name in names]
        rows.append({"model": entry.model, "condition": entry.name, "cells": cells})
    return {"names": names, "rows": rows}


def _at_k(entries: Sequence[ReportEntry]) -> list[Row]:
    """One row an entry and k, where questions have several samples."""
    return [
        {
            "model": entry.model,
            "condition": entry.name,
            "k": k,
            "pass@k": percent(value.passed),
            "maj@k": free(None) if value.majority is None else percent(value.majority),
            "avg@k": percent(entry.summary.accuracy.value),
        }
        for entry in entries
        for k, value in entry.summary.at_k.items()
    ]


def _logprob(entries: Sequence[ReportEntry]) -> list[Row]:
    """One row an entry whose completions were scored."""
    return [
        {
            "model": entry.model,
            "condition": entry.name,
            "gold log-prob, nats a token": logprob_cell(found),
            "against 1.0, paired": logprob_difference_cell(entry, with_interval=True),
            "pairs": entry.difference.logprob.questions if entry.difference and entry.difference.logprob else None,
            "accuracy": percent(entry.summary.accuracy.value),
            "questions scored": found.questions,
            "completions scored": found.scored,
            "completions without an end of reasoning": found.malformed,
        }
        for entry in entries
        for found in [entry.summary.logprob]
        if found is not None
    ]


def _level_cell(cell: Any) -> dict[str, str]:
    if cell is None:
        return {"text": free(None), "shade": "0", "detail": "no questions"}
    interval = f"{percent(cell.low, unit='')} to {percent(cell.high)}"
    return {
        "text": percent(cell.accuracy, unit=""),
        "shade": f"{0.45 * cell.accuracy:.3f}",
        "detail": f"{whole(cell.questions)} questions, 95 % interval {interval}",
    }


def _plain(rows: Sequence[Row]) -> Plain | None:
    if not rows:
        return None
    keys = list(dict.fromkeys(key for row in rows for key in row))
    values = [[row.get(key) for key in keys] for row in rows]
    number = [
        any(_is_number(line[place]) for line in values)
        and all(line[place] is None or _is_number(line[place]) for line in values)
        for place in range(len(keys))
    ]
    return Plain([label(key) for key in keys], number, [[free(value) for value in line] for line in values])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and value.endswith(" %"))
