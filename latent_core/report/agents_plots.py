"""The figures of a report of agents as SVG: returns and formats over steps, and what tells whether training is well."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from latent_core.report.agents import OPTIMUM, PLACEBO, RANDOM, START, TRAINED, Agents
from latent_core.report.plots import COLOURS, INK, MUTED, svg_of
from latent_core.report.training_plots import (
    DASHED,
    REASONING,
    REASONING_CAPTION,
    Arm,
    Panel,
    measured,
    panels_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    "values": (
        "The value head at every step, before it learned from the step's rollouts: how much of its targets' variance "
        "it explained (1: all, 0: no more than a constant), and its mean squared error."
    ),
    "reasoning": REASONING_CAPTION,
}
_COLOUR = {TRAINED: COLOURS[0], PLACEBO: COLOURS[1]}
_REFERENCES = {RANDOM: MUTED, START: COLOURS[4], OPTIMUM: INK}


_LEARNING = (Panel("return", "return"), Panel("format_rate", "right format, %", 100))
_DIAGNOSTICS = (
    Panel("within_group_std", "standard deviation within groups"),
    Panel("latent_share", "latent tokens, %", 100),
    Panel("turns", "turns an episode"),
    Panel("tokens_per_turn", "tokens a turn"),
)
_VALUES = (Panel("explained_variance", "explained variance"), Panel("value_loss", "squared error of values"))


def agents_figures(agents: Agents) -> dict[str, bytes]:
    """SVG files by name; what was not measured is not drawn."""
    if not agents.curves:
        return {}
    arms = {
        arm: Arm(_COLOUR[arm], [steps for member, steps in agents.curves.items() if member.arm == arm and steps])
        for arm in dict.fromkeys(member.arm for member in agents.curves)
    }
    drawn = {
        "learning": _LEARNING,
        "diagnostics": measured(arms, _DIAGNOSTICS),
        "values": measured(arms, _VALUES),
        "reasoning": measured(arms, REASONING),
    }
    return {
        name: svg_of(name, partial(panels_figure, arms, panels, partial(_references, agents)))
        for name, panels in drawn.items()
        if panels
    }


def _references(agents: Agents, axes: Axes, panel: Panel) -> None:
    for row in agents.arms() if panel.key == "return" else ():
        if row.arm in _REFERENCES:
            axes.axhline(row.value, color=_REFERENCES[row.arm], linewidth=1, linestyle=DASHED, label=row.arm, zorder=1)
