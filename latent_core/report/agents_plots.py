"""The figures of a report of agents as SVG: returns and formats over steps, and what tells whether training is well."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from latent_core.report.agents import OPTIMUM, PLACEBO, RANDOM, START, TRAINED, Agents
from latent_core.report.plots import COLOURS, INK, MUTED, WIDTH, svg_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURES = {
    "learning": (
        "What training saw at every step: thin lines are seeds, thick ones their mean. Returns are of new instances at "
        "the temperature of training. Dashed: mean return of random play, of the start model and of the best play "
        "known, on the instances of the table."
    ),
    "diagnostics": (
        "The same steps: standard deviation of the returns within a group, which is what an agent learns from; the "
        "share of latent tokens among its own; turns an episode and tokens a turn."
    ),
}
_COLOUR = {TRAINED: COLOURS[0], PLACEBO: COLOURS[1]}
_REFERENCES = {RANDOM: MUTED, START: COLOURS[4], OPTIMUM: INK}


class _Panel(NamedTuple):
    """A measure of a step, its title, and what it is multiplied with."""

    key: str
    title: str
    unit: float = 1.0


_LEARNING = (_Panel("return", "return"), _Panel("format_rate", "right format, %", 100))
_DIAGNOSTICS = (
    _Panel("within_group_std", "standard deviation within groups"),
    _Panel("latent_share", "latent tokens, %", 100),
    _Panel("turns", "turns an episode"),
    _Panel("tokens_per_turn", "tokens a turn"),
)


def agents_figures(agents: Agents) -> dict[str, bytes]:
    """SVG files by name."""
    if not agents.curves:
        return {}
    return {
        "learning": svg_of("learning", partial(_panels, agents, _LEARNING)),
        "diagnostics": svg_of("diagnostics", partial(_panels, agents, _DIAGNOSTICS)),
    }


def _panels(agents: Agents, panels: tuple[_Panel, ...]) -> Figure:
    from matplotlib.figure import Figure

    rows = len(panels) // 2
    figure = Figure(figsize=(WIDTH, 0.5 + 2.7 * rows), layout="constrained")
    grid = figure.subplots(rows, 2, squeeze=False, sharex=True)
    for axes, panel in zip(grid.flat, panels, strict=True):
        _curves(axes, agents, panel)
        if panel.key == "return":
            _references(axes, agents)
        if panel.key == "latent_share":
            axes.set_ylim(-3, 103)
    for axes in grid[-1]:
        axes.set_xlabel("step")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=5, handlelength=2.2, columnspacing=1.6)
    return figure


def _curves(axes: Axes, agents: Agents, panel: _Panel) -> None:
    for arm in dict.fromkeys(member.arm for member in agents.curves):
        runs = [steps for member, steps in agents.curves.items() if member.arm == arm and steps]
        for steps in runs:
            values = [panel.unit * step[panel.key] for step in steps]
            axes.plot(_numbers(steps), values, color=_COLOUR[arm], alpha=0.4, linewidth=0.8, zorder=2)
        common = sorted(set.intersection(*(set(_numbers(steps)) for steps in runs))) if runs else []
        by_step = [{int(step["step"]): panel.unit * step[panel.key] for step in steps} for steps in runs]
        means = [float(np.mean([run[step] for run in by_step])) for step in common]
        axes.plot(common, means, color=_COLOUR[arm], linewidth=1.8, label=arm, zorder=3)
    axes.grid(color="#eef1f4", linewidth=0.8)
    axes.spines["left"].set_visible(False)
    axes.set_title(panel.title, loc="left", fontsize=9.5, fontweight="bold", color=INK)
    axes.margins(0.03, 0.08)


def _numbers(steps: object) -> list[int]:
    return [int(step["step"]) for step in steps]  # type: ignore[attr-defined]


def _references(axes: Axes, agents: Agents) -> None:
    for row in agents.arms():
        if row.arm in _REFERENCES:
            colour = _REFERENCES[row.arm]
            axes.axhline(row.value, color=colour, linewidth=1, linestyle=(0, (4, 3)), label=row.arm, zorder=1)
