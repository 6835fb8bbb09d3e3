"""The figures of a comparison of arms as SVG: accuracy over tokens, tokens over ratio, and differences."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from latent_core.evaluation.arm_comparisons import Difference
from latent_core.evaluation.condition import BASE
from latent_core.evaluation.multiple import Verdict
from latent_core.report.comparison import ArmResult, Comparison
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
        "Differences of accuracy to the control, in points, at equal reasoning tokens on average: thick "
        "lines are 95 % intervals, thin ones Holm's. Filled where the adjusted interval excludes no difference."
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
    def draw(axes: Axes, arm: ArmResult, colour: str, marker: str) -> None:
        at = sorted(arm.measures.at, key=lambda item: item.reasoning.mean)
        across, up = [item.reasoning.mean for item in at], [100 * item.accuracy.mean for item in at]
        aside, above = [item.reasoning.sd for item in at], [100 * item.accuracy.sd for item in at]
        axes.errorbar(across, up, xerr=aside, yerr=above, fmt="none", ecolor=colour, alpha=0.35, elinewidth=1, zorder=2)
        axes.plot(across, up, color=colour, marker=marker, markersize=5, linewidth=1.5, label=arm.name, zorder=3)

    figure = _panels(comparison, draw, "mean reasoning tokens per question", "accuracy, %")
    grey, marker = FIXED[BASE]
    for axes in figure.axes:
        for item in comparison.baselines:
            place = item.reasoning, 100 * item.accuracy
            axes.plot(*place, color=grey, marker=marker, markersize=6, linestyle="", zorder=1)
            axes.annotate(item.condition, place, (5, 4), textcoords="offset points", fontsize=7, color=grey)
    return figure


def _obedience(comparison: Comparison) -> Figure:
    def draw(axes: Axes, arm: ArmResult, colour: str, marker: str) -> None:
        known = [(item.ratio, item.reasoning_ratio) for item in arm.measures.at if item.reasoning_ratio is not None]
        across, up = [ratio for ratio, _ in known], [share for _, share in known]
        axes.plot(across, up, color=colour, marker=marker, markersize=5, linewidth=1.5, label=arm.name, zorder=3)

    figure = _panels(comparison, draw, "requested ratio", "reasoning ratio")
    for axes in figure.axes:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.set_xlim(0, 1.04)
        axes.set_ylim(bottom=0)
    return figure


def _panels(comparison: Comparison, draw: Callable[[Axes, ArmResult, str, str], None], across: str, up: str) -> Figure:
    """One panel a family, with its arms; one for all arms where there is no family."""
    from matplotlib.figure import Figure

    named = [
        (family.title, {name for item in family.at_ratios for name in item.pair}) for family in comparison.families
    ]
    named = [
        (title, names)
        for place, (title, names) in enumerate(named)
        if not any(names <= others for _, others in named[:place])  # its arms have been drawn already
    ]
    panels = named or [("", {arm.name for arm in comparison.arms})]
    figure = Figure(figsize=(WIDTH * min(2, len(panels)) ** 0.5, 5.4), layout="constrained")
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, names) in zip(row, panels, strict=True):
        members = [arm for arm in comparison.arms if arm.name in names]
        for place, arm in enumerate(members):
            draw(axes, arm, *_look(place))
        axes.grid(color="#eef1f4", linewidth=0.8)
        axes.spines["left"].set_visible(False)
        axes.set_title(title, loc="left", fontsize=9.5, fontweight="bold", color=INK)
        axes.set_xlabel(across)
        axes.margins(0.06)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize=7.5, handlelength=2)
    row[0].set_ylabel(up)
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
    rows = [item for family in comparison.families for item in family.on_average]
    return [item for item in rows if item.difference is not None]
