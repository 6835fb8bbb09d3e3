"""A report's tables as files for other programs: numbers as CSV, and the tables as LaTeX (booktabs) and PDF."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from latent_core.evaluation.arm_comparisons import Difference
from latent_core.evaluation.statistics import Estimate
from latent_core.report.entries import ReportEntry
from latent_core.report.headlines import conclusion
from latent_core.report.numbers import MINUS
from latent_core.report.paired import Kept, Paired
from latent_core.report.paired_tables import AGAINST_BASE, AGAINST_FULL, AT_RATIOS, AT_TOKENS
from latent_core.report.plots import INK, styled
from latent_core.report.table import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    MINUS: "$-$",
    "–": "--",
    "±": r"$\pm$",
    "’": "'",
    "…": r"\ldots{}",
    "\N{NO-BREAK SPACE}": "~",
}
_MARGIN, _LINE, _GAP = 0.35, 0.21, 0.2  # inches: around a page, a row's height, between columns


def results_csv(entries: Sequence[ReportEntry]) -> str:
    """One row an entry, unrounded: fractions, tokens, p-values; what is not known is empty."""
    return _csv([_entry(entry) for entry in entries])


def paired_csv(paired: Paired) -> str:
    """One row a paired comparison, unrounded; differences are fractions."""
    rows = [_kept(AGAINST_BASE, row, paired.margin) for row in paired.against_base]
    rows += [_kept(AGAINST_FULL, row, paired.margin) for row in paired.against_full]
    rows += [_difference(AT_RATIOS, item) for item in paired.at_ratios]
    rows += [_difference(AT_TOKENS, item) for item in paired.at_tokens]
    return _csv(rows)


def latex_tables(tables: Mapping[str, Results]) -> str:
    """Tables to include into a paper that uses the package booktabs: one `table` environment each, text escaped."""
    parts = ["% needs \\usepackage{booktabs}; wide tables: \\usepackage{graphicx} and \\resizebox{\\textwidth}{!}{...}"]
    for title, table in tables.items():
        columns = "".join("r" if number else "l" for number in table.number)
        lines = [_latex_row(table.titles), *map(_latex_row, table.rows)]
        body = "\n".join(["\\toprule", lines[0], "\\midrule", *lines[1:], "\\bottomrule"])
        parts.append(
            f"\\begin{{table}}\n\\centering\n\\caption{{{latex_text(title)}}}\n"
            f"\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}\n\\end{{table}}"
        )
    return "\n\n".join(parts) + "\n"


def latex_text(text: str) -> str:
    """The text with all that LaTeX would read as a command escaped; line ends become spaces."""
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split(" ")).replace("\n", " "))


def pdf_tables(tables: Mapping[str, Results]) -> bytes:
    """One page a table, as large as the table is, its text selectable. The same tables give the same bytes."""
    from matplotlib.backends.backend_pdf import PdfPages

    target = io.BytesIO()
    with (
        styled({"pdf.fonttype": 42}),
        PdfPages(target, metadata={"CreationDate": None, "Creator": None, "Producer": None}) as pages,
    ):
        for title, table in tables.items():
            pages.savefig(_page(title, table))
    return target.getvalue()


def _page(title: str, table: Results) -> Figure:
    """Columns as wide as their longest cell, in the style of booktabs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    heads = [
        head.replace(" ", "\n", 1) if number else head for head, number in zip(table.titles, table.number, strict=True)
    ]
    lines = max(head.count("\n") + 1 for head in heads)
    figure = Figure(figsize=(1, 1))
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]

    def width(text: str, bold: bool = False) -> float:
        drawn = figure.text(0, 0, text, fontsize=8, fontweight="bold" if bold else "normal")
        found = float(drawn.get_window_extent(renderer).width) / figure.dpi
        drawn.remove()
        return found

    widths = [
        max(width(head, bold=True), *(width(row[place]) for row in table.rows), 0.2) for place, head in enumerate(heads)
    ]
    across = max(sum(widths) + _GAP * (len(widths) - 1), width(title, bold=True) * 1.3)
    down = _LINE * (len(table.rows) + lines + 2)
    size = (across + 2 * _MARGIN, down + 2 * _MARGIN)
    figure.set_size_inches(*size)

    def write(x: float, y: float, text: str, right: bool, **style: Any) -> None:
        side = "right" if right else "left"
        figure.text(x / size[0], 1 - y / size[1], text, ha=side, va="bottom", color=INK, **({"fontsize": 8} | style))

    def rule(y: float, thick: float) -> None:
        from matplotlib.lines import Line2D

        ends = [_MARGIN / size[0], (size[0] - _MARGIN) / size[0]]
        figure.add_artist(Line2D(ends, [1 - y / size[1]] * 2, color=INK, linewidth=thick))

    write(_MARGIN, _MARGIN + _LINE, title, right=False, fontsize=10, fontweight="bold")
    top = _MARGIN + 1.5 * _LINE
    head_bottom = top + _LINE * lines
    rule(top, 0.9)
    rule(head_bottom + 0.05, 0.5)
    left = _MARGIN
    for place, (head, number) in enumerate(zip(heads, table.number, strict=True)):
        x = left + widths[place] if number else left
        write(
            x,
            head_bottom,
            head,
            number,
            fontweight="bold",
            linespacing=1.1,
            multialignment="right" if number else "left",
        )
        for line, row in enumerate(table.rows):
            write(x, head_bottom + 0.05 + _LINE * (line + 1), row[place], number)
        left += widths[place] + _GAP
    rule(head_bottom + 0.1 + _LINE * len(table.rows), 0.9)
    return figure


def _entry(entry: ReportEntry) -> dict[str, Any]:
    condition, summary, difference = entry.condition, entry.summary, entry.difference
    row = {
        "model": condition.model,
        "seed": condition.seed,
        "kind": condition.kind.value,
        "ratio": condition.ratio,
        "questions": summary.questions,
        "samples": summary.samples,
        **_estimate("accuracy", summary.accuracy),
        "reasoning_tokens": summary.reasoning_tokens,
        **_estimate("reasoning_tokens_interval", entry.reasoning, value=False),
        **_estimate("tokens", summary.tokens),
        "reasoning_ratio": entry.reasoning_ratio,
        "tokens_ratio": entry.achieved_ratio,
        "truncated": summary.truncated_rate,
        "unparsed": summary.unparsed_rate,
        "latent_share": summary.latent_share,
        **_estimate("against_ratio_1", difference.accuracy if difference else None),
        "against_ratio_1_mcnemar_p": difference.mcnemar_p if difference else None,
        "against_ratio_1_student_p": difference.student_p if difference else None,
    }
    logprob = summary.logprob.mean if summary.logprob else None
    return row | _estimate("gold_logprob", logprob)


def _kept(family: str, row: Kept, margin: float) -> dict[str, Any]:
    return (
        _difference(family, row.difference)
        | {"condition": row.condition, "noninferiority_margin": margin}
        | {"noninferiority_holm_p": row.noninferiority_p, "conclusion": conclusion(row, margin)}
        | _estimate("reasoning_ratio", row.reasoning)
        | _estimate("tokens_ratio", row.tokens)
    )


def _difference(family: str, item: Difference) -> dict[str, Any]:
    mcnemar = item.mcnemar
    return {
        "family": family,
        "arm": item.pair.arm,
        "control": item.pair.control,
        "ratio": item.ratio,
        "low_tokens": item.low_tokens,
        "high_tokens": item.high_tokens,
        **_estimate("difference", item.difference),
        **_estimate("holm_interval", item.adjusted, value=False),
        "p": item.p,
        "holm_p": item.adjusted_p,
        "mcnemar_p": None if mcnemar is None else mcnemar.p,
        "mcnemar_holm_p": None if mcnemar is None else mcnemar.adjusted_p,
        "condition": None,
        "noninferiority_margin": None,
        "noninferiority_holm_p": None,
        "conclusion": None if item.verdict is None else str(item.verdict),
        **_estimate("reasoning_ratio", None),
        **_estimate("tokens_ratio", None),
    }


def _estimate(name: str, estimate: Estimate | None, *, value: bool = True) -> dict[str, float | None]:
    found = (None, None, None) if estimate is None else tuple(estimate)
    named = dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True))
    return named if value else dict(list(named.items())[1:])


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """RFC 4180, with a header; empty without rows."""
    target = io.StringIO()
    if rows:
        writer = csv.DictWriter(target, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return target.getvalue()


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(_latex_cells(cells)) + r" \\"


def _latex_cells(cells: Sequence[str]) -> Iterator[str]:
    for place, cell in enumerate(cells):
        text = latex_text(cell)
        yield f"{{{text}}}" if place == 0 and text.startswith("[") else text  # not an argument of the row before
