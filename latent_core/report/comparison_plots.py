"""The figures of a comparison of arms as SVG: accuracy over tokens, tokens over ratio, and differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from latent_core.evaluation.arm_comparisons import Difference
from latent_core.evaluation.multiple import Verdict
from latent_core.report.comparison import Comparison
from latent_core.report.comparison_tables import at_cell
from latent_core.report.plots import COLOURS, FIXED, INK, MARKERS, MUTED, WIDTH, svg_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURES = {
    "accuracy": (
        "Accuracy over mean reasoning tokens, one line an arm, one point a ratio. Crosses reach one standard deviation "
        "over seeds either way. Grey: the untrained model and its baselines."
    ),
    "obedience": (
        "Mean reasoning tokens as a share of the same model's at ratio 1, over the requested ratio. On the dashed "
        "line a model writes as much as it is asked to."
    ),
    "differences": (
        "Differences of accuracy to the control, in points: thick lines are 95 % intervals, thin ones Holm's. Filled "
        "where the adjusted interval excludes no difference."
    ),
}
_ROW = 0.2  # inches a difference takes
_Draw = Callable[[Comparison], "Figure"]


def comparison_figures(comparison: Comparison) -> dict[str, bytes]:
    """SVG files by name; `differences` only where any pair could be compared."""
    drawn: dict[str, _Draw] = {"accuracy": _accuracy, "obedience": _obedience}
    if _compared(comparison):
        drawn["differences"] = _differences
    return {name: svg_of(name, partial(draw, comparison)) for name, draw in drawn.items()}


def _look(place: int) -> tuple[str, str]:
    """Colour and marker: another marker where colours come round again."""
    return COLOURS[place % len(COLOURS)], MARKERS[(place + place // len(COLOURS)) % len(MARKERS)]


def _accuracy(comparison: Comparison) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    axes = figure.subplots()
    for place, arm in enumerate(comparison.arms):
        colour, marker = _look(place)
        at = sorted(arm.measures.at, key=lambda item: item.reasoning.mean)
        across, up = [item.reasoning.mean for item in at], [100 * item.accuracy.mean for item in at]
        aside, above = [item.reasoning.sd for item in at], [100 * item.accuracy.sd for item in at]
        axes.errorbar(across, up, xerr=aside, yerr=above, fmt="none", ecolor=colour, alpha=0.35, elinewidth=1, zorder=2)
        axes.plot(across, up, color=colour, marker=marker, markersize=5, linewidth=1.5, label=arm.name, zorder=3)
    grey, marker = FIXED["base"]
    for item in comparison.baselines:
        axes.plot([item.reasoning], [100 * item.accuracy], color=grey, marker=marker, markersize=6, linestyle="")
        axes.annotate(
            item.condition, (item.reasoning, 100 * item.accuracy), (5, 4), textcoords="offset points", fontsize=7.5,
            color=grey,
        )  # fmt: skip
    _finish(axes, figure, "mean reasoning tokens per question", "accuracy, %")
    return figure


def _obedience(comparison: Comparison) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 4.8), layout="constrained")
    axes = figure.subplots()
    for place, arm in enumerate(comparison.arms):
        colour, marker = _look(place)
        known = [(item.ratio, item.reasoning_ratio) for item in arm.measures.at if item.reasoning_ratio is not None]
        axes.plot(
            [ratio for ratio, _ in known], [share for _, share in known], color=colour, marker=marker, markersize=5,
            linewidth=1.5, label=arm.name, zorder=3,
        )  # fmt: skip
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.set_xlim(0, 1.04)
    axes.set_ylim(bottom=0)
    _finish(axes, figure, "requested ratio", "reasoning ratio")
    return figure


def _differences(comparison: Comparison) -> Figure:
    from matplotlib.figure import Figure

    rows = _compared(comparison)
    figure = Figure(figsize=(WIDTH, 0.9 + _ROW * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, item in enumerate(rows):
        assert item.difference is not None and item.adjusted is not None
        colour = {Verdict.BETTER: COLOURS[2], Verdict.WORSE: COLOURS[1]}.get(item.verdict or Verdict.UNDECIDED, MUTED)
        value, low, high = (100 * bound for bound in item.difference)
        axes.plot([100 * item.adjusted.low, 100 * item.adjusted.high], [place, place], color=colour, linewidth=0.8)
        axes.plot([low, high], [place, place], color=colour, linewidth=2.4, solid_capstyle="butt")
        filled = colour if colour != MUTED else "white"
        axes.plot([value], [place], marker="o", markersize=4, markerfacecolor=filled, markeredgecolor=colour)
    axes.axvline(0, color=INK, linewidth=0.8)
    for side in (-1, 1):
        axes.axvline(side * 100 * comparison.margin, color=MUTED, linewidth=0.8, linestyle=(0, (2, 3)))
    names = [f"{item.pair.arm} − {item.pair.control}, {at_cell(item)}" for item in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="x", color="#eef1f4", linewidth=0.8)
    axes.set_xlabel("difference of accuracy, points")
    return figure


def _compared(comparison: Comparison) -> list[Difference]:
    rows: Sequence[Difference] = [
        item for family in comparison.families for item in (*family.at_ratios, *family.at_tokens)
    ]
    return [item for item in rows if item.difference is not None]


def _finish(axes: Axes, figure: Figure, across: str, up: str) -> None:
    axes.grid(color="#eef1f4", linewidth=0.8)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.margins(0.06)
    figure.legend(loc="outside upper left", ncols=4, handlelength=2.2, columnspacing=1.4)
