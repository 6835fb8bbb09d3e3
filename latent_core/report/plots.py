"""The report's figures as SVG: accuracy over reasoning tokens, requested against reasoning ratio, output lengths.

The same entries give the same bytes: no dates, salted ids, and the font that matplotlib itself brings for measuring.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from latent_core.evaluation.condition import BASE, Kind
from latent_core.evaluation.summary import HISTOGRAM_EDGES
from latent_core.report.entries import ReportEntry
from latent_core.report.names import short_name
from latent_core.report.numbers import DASH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, RULE = "#1f2933", "#66717d", "#d9dee3"
# Okabe and Ito's colours, which stay apart under the common colour blindnesses; each has a marker of its own as well.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#a97900", "#5b3a9b")
MARKERS = ("o", "s", "D", "^", "v", "P")
FIXED = {BASE: ("#5f6b76", "X")}  # the untrained model is the reference, in grey
HOLLOW = ("o", "s", "^", "v", "D")  # a model's baselines keep its colour and are told apart by these
WIDTH = 7.6  # inches: 547 points, the measure of the page's text column
NARROW = 3.9  # inches: at this width a phone's 360 pixels show type of 9 points as 11.5 pixels

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a model's name may hold dollar signs
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


class Look(NamedTuple):
    """How a model is drawn everywhere in the report."""

    colour: str
    marker: str


def looks(entries: Sequence[ReportEntry]) -> dict[str, Look]:
    """A colour and marker per model, in order of appearance; seeds of one variant share theirs."""
    variants = {entry.model: entry.condition.model for entry in entries}
    others = dict.fromkeys(variant for variant in variants.values() if variant not in FIXED)
    chosen = {
        name: Look(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]) for place, name in enumerate(others)
    }
    return {
        model: Look(*FIXED[variant]) if variant in FIXED else chosen[variant] for model, variant in variants.items()
    }


def figures(entries: Sequence[ReportEntry], *, narrow: bool = False) -> dict[str, bytes]:
    """SVG files by name: `pareto`, `lengths`, and `ratios` where any entry has a requested and a reasoning ratio.

    `narrow` draws them for the width of a phone.
    """
    # After a replaced reasoning nothing was reasoned: such an entry is in the tables, and no way to shorten.
    entries = [entry for entry in entries if not entry.condition.kind.intervenes]
    if not entries:
        return {}
    drawn = {"pareto": svg_of("pareto", lambda: _pareto(entries, narrow))}
    if any(_both_ratios(entry) for entry in entries):
        drawn["ratios"] = svg_of("ratios", lambda: _ratios(entries, narrow))
    lengths = _narrow_lengths if narrow else _lengths
    return drawn | {"lengths": svg_of("lengths", lambda: lengths(entries))}


def svg_of(name: str, draw: Callable[[], Figure]) -> bytes:
    """A figure in the report's style; the same drawing under the same name gives the same bytes."""
    with styled({"svg.hashsalt": name}):
        target = io.BytesIO()
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        draw().savefig(target, format="svg", metadata=metadata, transparent=True)
    return target.getvalue()


@contextmanager
def styled(more: Mapping[str, Any]) -> Iterator[None]:
    """The figures' style on matplotlib's own defaults, so that a user's matplotlibrc changes nothing."""
    import matplotlib

    with matplotlib.rc_context():
        # The backend is never changed: figures are made without pyplot and saved as SVG whatever it is.
        defaults = {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")}
        parameters: Any = defaults | STYLE | dict(more)
        matplotlib.rcParams.update(parameters)
        yield


def _series(entries: Sequence[ReportEntry]) -> dict[tuple[str, Kind], list[ReportEntry]]:
    """The entries of one line of a plot: those of one model and kind."""
    grouped: dict[tuple[str, Kind], list[ReportEntry]] = {}
    for entry in entries:
        grouped.setdefault((entry.model, entry.condition.kind), []).append(entry)
    return grouped


def _both_ratios(entry: ReportEntry) -> tuple[float, float] | None:
    """The requested and the reasoning ratio; None where either is not known."""
    requested, achieved = entry.condition.ratio, entry.reasoning_ratio
    return None if requested is None or achieved is None else (requested, achieved)


def _name(model: str, kind: Kind) -> str:
    return _clipped(model if kind is Kind.RATIO else f"{model}, {kind.value}", 30)


def _clipped(text: str, longest: int) -> str:
    """A name that fits its place; the table beside the figures has it in full."""
    return text if len(text) <= longest else f"{text[: max(1, longest - 1)]}…"


def _line(kind: Kind, look: Look, entries: Sequence[ReportEntry]) -> dict[str, Any]:
    """A trained series is a solid line with filled markers; baselines of the same model are dotted and hollow."""
    trained = kind is Kind.RATIO
    kinds = dict.fromkeys(entry.condition.kind for entry in entries)
    baselines: list[Kind] = [other for other in kinds if other is not Kind.RATIO]
    return {
        "color": look.colour,
        "marker": look.marker if trained else HOLLOW[baselines.index(kind) % len(HOLLOW)],
        "markersize": 6,
        "markerfacecolor": look.colour if trained else "white",
        "markeredgecolor": "white" if trained else look.colour,
        "markeredgewidth": 0.8 if trained else 1.2,
        "linestyle": "-" if trained else ":",
        "linewidth": 1.8 if trained else 1.2,
    }


def _pareto(entries: Sequence[ReportEntry], narrow: bool) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(NARROW if narrow else WIDTH, 4.3), layout="constrained")
    axes = figure.subplots()
    chosen = looks(entries)
    for (model, kind), members in _series(entries).items():
        members = sorted(members, key=lambda entry: entry.summary.reasoning_tokens)
        across = [entry.summary.reasoning_tokens for entry in members]
        up = [100 * entry.summary.accuracy.value for entry in members]
        right = [
            (entry.reasoning.low, entry.reasoning.high) if entry.reasoning else (value, value)
            for entry, value in zip(members, across, strict=True)
        ]
        high = [(100 * entry.summary.accuracy.low, 100 * entry.summary.accuracy.high) for entry in members]
        look = chosen[model]
        axes.errorbar(
            across, up, xerr=_reach(across, right), yerr=_reach(up, high), fmt="none", ecolor=look.colour, alpha=0.3,
            elinewidth=1, zorder=2,
        )  # fmt: skip
        axes.plot(across, up, label=_name(model, kind), zorder=3, **_line(kind, look, entries))
        for entry, x, y in zip(members, across, up, strict=True):
            text = _clipped(short_name(entry.condition), 18)
            is_low = kind is not Kind.RATIO or list(chosen).index(model) % 2 == 1  # keeps neighbours apart
            offset = (5, -11) if is_low else (5, 5)
            axes.annotate(text, (x, y), offset, textcoords="offset points", fontsize=8, color=look.colour, zorder=4)
    _frontier(axes, entries)
    _grid(axes)
    axes.set_xlabel("mean reasoning tokens per question")
    axes.set_ylabel("accuracy, %")
    axes.margins(0.08)
    _legend(figure, 2 if narrow else 4)
    return figure


def _frontier(axes: Axes, entries: Sequence[ReportEntry]) -> None:
    """A step under the entries that no other beats in both accuracy and reasoning tokens."""
    best, kept = -1.0, []
    for entry in sorted(entries, key=lambda entry: (entry.summary.reasoning_tokens, -entry.summary.accuracy.value)):
        if entry.summary.accuracy.value > best:
            best = entry.summary.accuracy.value
            kept.append((entry.summary.reasoning_tokens, 100 * best))
    if len(kept) > 1:
        across, up = zip(*kept, strict=True)
        axes.step(across, up, where="post", color="#e3e7eb", linewidth=5, zorder=1, label="frontier")


def _ratios(entries: Sequence[ReportEntry], narrow: bool) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(NARROW if narrow else WIDTH, 4.3), layout="constrained")
    axes = figure.subplots()
    chosen = looks(entries)
    top = 1.0
    for (model, kind), members in _series(entries).items():
        known = [(ratios, entry) for entry in members if (ratios := _both_ratios(entry)) is not None]
        if not known:
            continue
        known.sort(key=lambda item: item[0][0])
        across = [requested for (requested, _), _ in known]
        up = [achieved for (_, achieved), _ in known]
        limits = []
        for (_, value), entry in known:
            ratio = entry.difference.reasoning_ratio if entry.difference else None
            limits.append((ratio.low, ratio.high) if ratio else (value, value))
        top = max(top, *(high for _, high in limits))
        look = chosen[model]
        axes.errorbar(
            across, up, yerr=_reach(up, limits), fmt="none", ecolor=look.colour, alpha=0.35, elinewidth=1, zorder=2
        )
        axes.plot(across, up, label=_name(model, kind), zorder=3, **_line(kind, look, entries))
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1, label="as requested")
    _grid(axes)
    axes.set_xlim(0, 1.04)
    axes.set_ylim(0, 1.04 * top)
    axes.set_xlabel("requested ratio")
    axes.set_ylabel("reasoning ratio" if narrow else "reasoning ratio (reasoning tokens against ratio 1.0)")
    _legend(figure, 2 if narrow else 4)
    return figure


def _lengths(entries: Sequence[ReportEntry]) -> Figure:
    from matplotlib.figure import Figure

    conditions = _ordered_conditions(entries)
    models = list(dict.fromkeys(entry.model for entry in entries))
    chosen = looks(entries)
    # One step a bin: the bins are geometric, so this is a logarithmic axis.
    low, high, edges, ticks = _length_axis(entries)
    height = 0.8 + 0.62 * len(conditions)
    # Measuring the labels of every panel would take most of the report's time; these margins hold them by design.
    figure = Figure(figsize=(WIDTH, height))
    grid = figure.subplots(
        len(conditions), len(models), sharex=True, squeeze=False,
        gridspec_kw={
            "left": 1.35 / WIDTH, "right": 0.995, "bottom": 0.48 / height, "top": 1 - 0.25 / height,
            "wspace": 0.05, "hspace": 0.12,
        },
    )  # fmt: skip
    by_place = {(entry.name, entry.model): entry for entry in entries}
    for row, condition in enumerate(conditions):
        for column, model in enumerate(models):
            axes = grid[row][column]
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
            if row == 0:
                name = _clipped(model, 56 // len(models))
                axes.set_title(name, loc="left", fontsize=9.5, fontweight="bold", color=chosen[model].colour)
            if column == 0:
                axes.set_ylabel(_clipped(condition, 18), rotation=0, ha="right", va="center", color=INK, labelpad=8)
            entry = by_place.get((condition, model))
            if entry is None:
                axes.text(0.5, 0.3, DASH, transform=axes.transAxes, ha="center", fontsize=9, color=MUTED)
                axes.spines["bottom"].set_visible(False)
            else:
                _lengths_panel(axes, entry, low, high, chosen[model].colour)
    ticks = ticks[:: 2 if len(ticks) * len(models) > 18 else 1]
    for axes in grid[-1]:
        axes.set_xlim(0, len(edges) - 1)
        axes.set_xticks(ticks, [_short(edges[place]) for place in ticks])
    figure.supxlabel("output tokens, logarithmic", y=0.08 / height, va="bottom", fontsize=9, color=MUTED)
    return figure


def _narrow_lengths(entries: Sequence[ReportEntry]) -> Figure:
    """One panel below the other, model by model."""
    from matplotlib.figure import Figure

    chosen = looks(entries)
    ordered = sorted(entries, key=lambda entry: list(chosen).index(entry.model))
    low, high, edges, ticks = _length_axis(entries)
    heads = [place for place, entry in enumerate(ordered) if place == 0 or entry.model != ordered[place - 1].model]
    heights = [1.45 if place in heads else 1.0 for place in range(len(ordered))]
    height = 0.6 + 0.58 * sum(heights)
    figure = Figure(figsize=(NARROW, height))
    grid = figure.subplots(
        len(ordered), 1, sharex=True, squeeze=False,
        gridspec_kw={
            "left": 1.2 / NARROW, "right": 0.99, "bottom": 0.5 / height, "top": 1 - 0.3 / height, "hspace": 0.65,
        },
    )  # fmt: skip
    for axes, entry, place in zip(grid.flat, ordered, range(len(ordered)), strict=True):
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        if place in heads:
            colour = chosen[entry.model].colour
            axes.set_title(_clipped(entry.model, 30), loc="left", fontsize=9.5, fontweight="bold", color=colour)
        name = _clipped(entry.name, 16)
        axes.set_ylabel(name, rotation=0, ha="right", va="center", color=INK, labelpad=6, fontsize=8.5)
        _lengths_panel(axes, entry, low, high, chosen[entry.model].colour)
    axes = grid[-1][0]
    axes.set_xlim(0, len(edges) - 1)
    axes.set_xticks(ticks, [_short(edges[place]) for place in ticks])
    figure.supxlabel("output tokens, logarithmic", y=0.08 / height, va="bottom", fontsize=9, color=MUTED)
    return figure


def _length_axis(entries: Sequence[ReportEntry]) -> tuple[int, int, list[int], list[int]]:
    """The bins that hold anything, from and to; their edges; and the places of round numbers among these."""
    filled = [place for entry in entries for place, count in enumerate(entry.summary.histogram) if count]
    low, high = max(0, min(filled) - 1), max(filled) + 2
    edges = [*HISTOGRAM_EDGES, 2 * HISTOGRAM_EDGES[-1]][low : high + 1]
    ticks = [place for place in range(len(edges)) if (low + place - 1) % 4 == 0 and low + place > 0]
    return low, high, edges, ticks


def _ordered_conditions(entries: Sequence[ReportEntry]) -> list[str]:
    """What models were trained for first, from the longest ratio to the shortest; then the baselines, kind by kind."""
    kinds = list(dict.fromkeys(entry.condition.kind for entry in entries))

    def order(entry: ReportEntry) -> tuple[bool, int, float]:
        kind, ratio = entry.condition.kind, entry.condition.ratio
        return kind is not Kind.RATIO, kinds.index(kind), 0.0 if ratio is None else -ratio

    return list(dict.fromkeys(entry.name for entry in sorted(entries, key=order)))


def _lengths_panel(axes: Axes, entry: ReportEntry, low: int, high: int, colour: str) -> None:
    counts = entry.summary.histogram[low:high]
    axes.stairs(counts, range(len(counts) + 1), fill=True, color=colour, alpha=0.75, linewidth=0)
    axes.set_ylim(0, 1.25 * max(counts))
    median = entry.summary.token_quantiles[50]
    axes.axvline(_bin_place(median) - low, color=INK, linewidth=1)
    truncated = f", {100 * entry.summary.truncated_rate:.0f} % cut" if entry.summary.truncated_rate else ""
    axes.text(
        1, 0.98, f"median {median:,.0f}{truncated}", transform=axes.transAxes, ha="right", va="top", fontsize=7.5,
        color=MUTED,
    )  # fmt: skip


def _bin_place(length: float) -> float:
    """Where a length lies on an axis that has one unit a bin."""
    edges = [*HISTOGRAM_EDGES, 2 * HISTOGRAM_EDGES[-1]]
    place = max(index for index, edge in enumerate(HISTOGRAM_EDGES) if edge <= length)
    return place + min(1.0, (length - edges[place]) / (edges[place + 1] - edges[place]))


def _short(tokens: int) -> str:
    return f"{tokens // 1024}k" if tokens >= 1024 else str(tokens)


def _reach(values: Sequence[float], limits: Sequence[tuple[float, float]]) -> list[list[float]]:
    """Lengths of the error bars below and above each value."""
    pairs = list(zip(values, limits, strict=True))
    below = [max(0.0, value - low) for value, (low, _) in pairs]
    return [below, [max(0.0, high - value) for value, (_, high) in pairs]]


def _grid(axes: Axes) -> None:
    axes.grid(color="#eef1f4", linewidth=0.8)
    axes.spines["left"].set_visible(False)


def _legend(figure: Figure, columns: int) -> None:
    figure.legend(loc="outside upper left", ncols=columns, handlelength=2.2, columnspacing=1.6)
