"""The results table, from one list of columns: for Markdown, HTML and, read back from Markdown, the terminal (rich)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape, unescape
from typing import TYPE_CHECKING, NamedTuple

from latent_core.evaluation.echo import NONE
from latent_core.evaluation.logprob import LogProb
from latent_core.report.entries import ReportEntry
from latent_core.report.numbers import DASH, decimal, nats, p_value, percent, points, whole

if TYPE_CHECKING:
    from rich.table import Table


class Column(NamedTuple):
    """A column: its title, the text of an entry's cell, whether it is a number, what it means, and its turn to be left
    out of a narrow terminal (None: never)."""

    title: str
    cell: Callable[[ReportEntry], str]
    number: bool
    meaning: str
    dropped: int | None = None
    shown: Callable[[ReportEntry], bool] | None = None  # only where an entry has it; None: always


def _difference(entry: ReportEntry) -> str:
    if entry.difference is None:
        return DASH
    return f"{points(entry.difference.accuracy.value)} ({p_value(entry.difference.p_value)})"


def _ratio(ratio: float | None) -> str:
    return DASH if ratio is None else f"{ratio:.2f}"


COLUMNS: tuple[Column, ...] = (
    Column("Model", lambda entry: entry.model, False, "the model that answered"),
    Column("Condition", lambda entry: entry.name, False, "how it was asked to reason, and at which ratio"),
    Column("Questions", lambda entry: whole(entry.summary.questions), True, "questions evaluated", 1),
    Column("Accuracy", lambda entry: percent(entry.summary.accuracy.value), True, "share of questions answered right"),
    Column(
        "95\N{NO-BREAK SPACE}% interval",
        lambda entry: " to ".join(percent(bound, unit="") for bound in entry.summary.accuracy[1:]),
        True,
        "Wilson; bootstrap over questions where a question has several samples",
    ),
    Column(
        "Against 1.0",
        _difference,
        True,
        "points of accuracy against the same model at ratio 1.0, or the base model where it was not trained on ratios "
        "(McNemar's p)",
        2,
    ),
    Column(
        "Reasoning tokens",
        lambda entry: decimal(entry.summary.reasoning_tokens),
        True,
        "mean tokens before the answer per question; a reasoning that never ends counts with its whole length",
        9,
    ),
    Column(
        "Reasoning ratio",
        lambda entry: _ratio(entry.reasoning_ratio),
        True,
        "reasoning tokens relative to what its accuracy is compared with, on the same questions: what a requested "
        "ratio is a share of",
    ),
    Column(
        "Total tokens",
        lambda entry: decimal(entry.summary.tokens.value),
        True,
        "mean output tokens per question, the answer included",
    ),
    Column(
        "Total ratio",
        lambda entry: _ratio(entry.achieved_ratio),
        True,
        "the same of all output tokens, the answer included, which no ratio shortens",
        8,
    ),
    Column("Truncated", lambda entry: percent(entry.summary.truncated_rate), True, "cut at the length limit", 4),
    Column("Unparsed", lambda entry: percent(entry.summary.unparsed_rate), True, "finished without an answer", 3),
    Column(
        "Latent share",
        lambda entry: DASH if entry.summary.latent_share is None else percent(entry.summary.latent_share),
        True,
        "latent tokens among the reasoning tokens",
        5,
    ),
    Column(
        "Gold log-prob",
        lambda entry: logprob_cell(entry.summary.logprob),
        True,
        "mean log P of the gold answer after the model's own reasoning, nats a token, and its 95 % bootstrap interval; "
        "completions that never end their reasoning are left out and counted below",
        6,
        lambda entry: entry.summary.logprob is not None,
    ),
    Column(
        "Log-prob against 1.0",
        lambda entry: logprob_difference_cell(entry, with_interval=False),
        True,
        "the same paired with what its accuracy is compared with, on the questions that both end their reasoning of "
        "(paired bootstrap)",
        0,
        lambda entry: entry.difference is not None and entry.difference.logprob is not None,
    ),
    Column(
        "Named ratios",
        lambda entry: named_ratios_cell(entry.summary.echoed),
        False,
        "the ratios that the model names before it reasons, and how often; at auto ratio they are its own choice",
        7,
        lambda entry: bool(entry.summary.echoed),
    ),
)


def columns(entries: Sequence[ReportEntry]) -> list[Column]:
    """The columns of a table of these entries, in order."""
    return [column for column in COLUMNS if column.shown is None or any(map(column.shown, entries))]


def logprob_cell(logprob: LogProb | None) -> str:
    """−0.41 (−0.52 to −0.31)."""
    if logprob is None or logprob.mean is None:
        return DASH
    value, low, high = (nats(number) for number in logprob.mean)
    return f"{value} ({low} to {high})"


def named_ratios_cell(echoed: Mapping[str, int]) -> str:
    """1: 17 %, 0.5: 83 %; the highest ratio first, outputs without one last."""
    order = sorted(echoed, key=lambda ratio: (ratio == NONE, ratio if ratio == NONE else -float(ratio)))
    total = sum(echoed.values())
    return ", ".join(f"{ratio}: {round(100 * echoed[ratio] / total)} %" for ratio in order) or DASH


def logprob_difference_cell(entry: ReportEntry, *, with_interval: bool) -> str:
    """−0.31 (p = 0.02), or with the interval: −0.31 (−0.52 to −0.10, p = 0.02)."""
    found = entry.difference.logprob if entry.difference else None
    if found is None:
        return DASH
    value, low, high = (nats(number, signed=True) for number in found.difference)
    interval = f"{low} to {high}, " if with_interval else ""
    return f"{value} ({interval}{p_value(found.bootstrap_p)})"


class Results(NamedTuple):
    """The results table as text: one title a column, whether its cells are numbers, and one row an entry."""

    titles: list[str]
    number: list[bool]
    rows: list[list[str]]


def results(entries: Sequence[ReportEntry]) -> Results:
    """The table of these entries, with the columns that `columns` gives."""
    heads = columns(entries)
    rows = [[column.cell(entry) for column in heads] for entry in entries]
    return Results([column.title for column in heads], [column.number for column in heads], rows)


def rich_table(table: Results, *, title: str | None = None, width: int | None = None) -> Table:
    """For a terminal `width` characters wide (None: as wide as this one).

    Where the columns do not fit, the least needed are left out and named below the table. Model and condition are
    shown as they are, never read as markup.
    """
    from rich import box, get_console
    from rich.table import Table
    from rich.text import Text

    shown = _fitting(table, get_console().width if width is None else width)
    left_out = [name for place, name in enumerate(table.titles) if place not in shown]
    caption = Text(f"not shown for lack of room: {', '.join(left_out)}") if left_out else None
    drawn = Table(title=Text(title) if title else None, caption=caption, box=box.SIMPLE_HEAD, pad_edge=False)
    for place in shown:
        name, number = table.titles[place], table.number[place]
        head = name.replace(" ", "\n") if number else name
        drawn.add_column(Text(head), justify="right" if number else "left", no_wrap=True)
    for row in table.rows:
        drawn.add_row(*(Text(row[place]) for place in shown))
    return drawn


def _fitting(table: Results, width: int) -> list[int]:
    """Places of the columns that a terminal has room for, in their order."""
    gap = 3  # one space of padding on either side and one of the frame
    needed = [
        max(len(text) for text in [*name.split(" "), *(row[place] for row in table.rows)]) + gap
        for place, name in enumerate(table.titles)
    ]
    turns = {column.title: column.dropped for column in COLUMNS}
    shown = list(range(len(table.titles)))
    while sum(needed[place] for place in shown) > width:
        optional = {place: turn for place in shown if (turn := turns.get(table.titles[place])) is not None}
        if not optional:
            break
        shown.remove(min(optional, key=lambda place: optional[place]))
    return shown


def markdown_table(table: Results) -> str:
    """A GitHub table; what would end a cell or start markup in it is escaped. `read_markdown` is the inverse."""
    lines = [table.titles, ["---:" if number else "---" for number in table.number]]
    lines += [[markdown_text(cell) for cell in row] for row in table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def read_markdown(text: str) -> Results:
    """The table that `markdown_table` wrote, now or in an earlier release, up to white space inside cells."""
    titles, marks, *rows = ([_plain(cell) for cell in _CELL.findall(line)] for line in text.splitlines())
    return Results(titles, [mark.endswith(":") for mark in marks], rows)


def html_table(entries: Sequence[ReportEntry]) -> str:
    """A `<table>`; a model's name heads its rows and is not repeated on them, but for narrow screens (`whose`)."""
    heads = columns(entries)
    head = "".join(
        f'<th scope="col"{_css(column)} title="{escape(column.meaning)}">{escape(column.title)}</th>'
        for column in heads
    )
    body, above = [], None
    for entry, row in zip(entries, results(entries).rows, strict=True):
        first = entry.model != above
        above = entry.model
        cells = [
            f"<td{_css(column)}>{_whose(row[0]) if place == 1 else ''}{escape(cell) if first or place else ''}</td>"
            for place, (column, cell) in enumerate(zip(heads, row, strict=True))
        ]
        start = '<tr class="first">' if first else "<tr>"
        body.append(f"{start}{''.join(cells)}</tr>")
    return f'<table class="pair"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'


def _whose(model: str) -> str:
    return f'<span class="whose">{escape(model)}</span>'


def _css(column: Column) -> str:
    return ' class="number"' if column.number else ""


def markdown_text(cell: str) -> str:
    """On one line, with what would start markup escaped."""
    return escape(" ".join(cell.split()), quote=False).replace("\\", "\\\\").replace("|", "\\|")


_CELL = re.compile(r"\| ((?:[^|\\]|\\.)*?) (?=\|)")
_ESCAPED = re.compile(r"\\(.)")


def _plain(cell: str) -> str:
    """The inverse of `markdown_text`."""
    return unescape(_ESCAPED.sub(r"\1", cell))
