"""Panels of what was measured at every step of trainings: a thin line a run, a thick one for an arm's mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from latent_core.report.plots import COLOURS, INK, MUTED, NARROW, WIDTH, svg_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Steps = Sequence[Mapping[str, float]]
"""What one training saw, one entry a step (`latent_core.rl.curves`); entries may lack measures."""
DASHED = (0, (4, 3))


class Panel(NamedTuple):
    """A measure of a step, its title, and what it is multiplied with."""

    key: str
    title: str
    unit: float = 1.0


class Arm(NamedTuple):
    """Trainings that differ in their seed."""

    colour: str
    runs: Sequence[Steps]


REASONING = (
    Panel("mutual_information", "mutual information, nats"),
    Panel("retrieval_at_1", "own prompt the likeliest, %", 100),
    Panel("conditional_entropy", "entropy of a reasoning, nats"),
    Panel("first_token_entropy", "entropy of the first token, nats"),
    Panel("sampler_kl", "divergence from the sampler, nats a token"),
)
REASONING_CAPTION = (
    "Whether reasoning answers to its prompt. Mutual information of reasonings and the step’s prompts, dashed where "
    "each tells its prompt for certain; how often a reasoning’s own prompt is the likeliest, dashed at chance; the "
    "entropy of a whole reasoning under its own prompt, and of the first token; the divergence of the policy that "
    "learned from the one that sampled. Information that falls while entropy stays up is one template for all prompts."
)
_TRAINING = (
    Panel("reward", "reward"),
    Panel("correct", "correct, %", 100),
    Panel("format_rate", "with an answer, %", 100),
    Panel("within_group_std", "standard deviation within groups"),
    Panel("tokens", "tokens a completion"),
    Panel("latent_share", "latent tokens, %", 100),
)
_TRAINING_CAPTION = (
    "What training saw at every step, on its own completions: their reward, how many were correct and how many gave an "
    "answer before the limit, the standard deviation of rewards within a group, lengths and the share of latent tokens."
)
_CHANCE = "chance_at_1"
_BOUNDS: Mapping[str, Callable[[float], float]] = {
    "mutual_information": lambda chance: -float(np.log(chance)),
    "retrieval_at_1": lambda chance: 100 * chance,
}


class Figured(NamedTuple):
    """A figure, as SVG, and what it says; `narrow` is the same for narrow screens, empty where it was not drawn."""

    name: str
    caption: str
    svg: bytes
    narrow: bytes = b""


def training_figures(steps: Steps) -> list[Figured]:
    """Of one training on completions of one turn (`latent_core.rl.curves.rollout_steps`)."""
    arms = {"policy": Arm(COLOURS[0], [steps])}
    drawn = (("training", _TRAINING_CAPTION, _TRAINING), ("reasoning", REASONING_CAPTION, REASONING))
    return [
        panelled(name, caption, arms, found) for name, caption, panels in drawn if (found := measured(arms, panels))
    ]


def panelled(name: str, caption: str, arms: Mapping[str, Arm], panels: Sequence[Panel]) -> Figured:
    """Panels drawn for wide and for narrow screens."""
    drawn = (svg_of(name, partial(panels_figure, arms, panels, narrow=narrow)) for narrow in (False, True))
    return Figured(name, caption, *drawn)


def measured(arms: Mapping[str, Arm], panels: Sequence[Panel]) -> tuple[Panel, ...]:
    """The panels of which any step has the measure."""
    known = {key for arm in arms.values() for steps in arm.runs for step in steps for key in step}
    return tuple(panel for panel in panels if panel.key in known)


def panels_figure(
    arms: Mapping[str, Arm],
    panels: Sequence[Panel],
    add: Callable[[Axes, Panel], None] = lambda axes, panel: None,
    *,
    narrow: bool = False,
) -> Figure:
    """Two panels a row, one where it is narrow; `add` may draw more into each. One arm alone has no legend."""
    from matplotlib.figure import Figure

    columns = 1 if narrow else 2
    rows = (len(panels) + columns - 1) // columns
    figure = Figure(figsize=(NARROW if narrow else WIDTH, 0.5 + 2.7 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _curves(axes, arms, panel)
        _bound(axes, arms, panel)
        add(axes, panel)
        if panel.key == "latent_share":
            axes.set_ylim(-3, 103)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes in grid.flat[max(0, len(panels) - columns) : len(panels)]:  # the last of each column
        axes.set_xlabel("step")
        axes.tick_params(labelbottom=True)
    handles, labels = grid[0][0].get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(
            handles, labels, loc="outside upper left", ncols=2 if narrow else 5, handlelength=2.2, columnspacing=1.6
        )
    return figure


def _curves(axes: Axes, arms: Mapping[str, Arm], panel: Panel) -> None:
    for name, arm in arms.items():
        runs = [found for steps in arm.runs if (found := _values(steps, panel))]
        for run in runs:
            axes.plot(list(run), list(run.values()), color=arm.colour, alpha=0.4, linewidth=0.8, zorder=2)
        common = sorted(set.intersection(*map(set, runs))) if runs else []
        means = [float(np.mean([run[step] for run in runs])) for step in common]
        mark = "o" if len(common) == 1 else None
        axes.plot(common, means, color=arm.colour, linewidth=1.8, marker=mark, label=name, zorder=3)
    axes.grid(color="#eef1f4", linewidth=0.8)
    axes.spines["left"].set_visible(False)
    axes.set_title(panel.title, loc="left", fontsize=9.5, fontweight="bold", color=INK)
    axes.margins(0.03, 0.08)


def _values(steps: Steps, panel: Panel) -> dict[int, float]:
    return {int(step["step"]): panel.unit * step[panel.key] for step in steps if panel.key in step}


def _bound(axes: Axes, arms: Mapping[str, Arm], panel: Panel) -> None:
    """What there is at most, or by chance: it follows from how many different prompts a step had, over all runs."""
    if panel.key not in _BOUNDS:
        return
    chances: dict[int, list[float]] = {}
    for arm in arms.values():
        for steps in arm.runs:
            for step in steps:
                if _CHANCE in step:
                    chances.setdefault(int(step["step"]), []).append(step[_CHANCE])
    places = sorted(chances)
    bounds = [_BOUNDS[panel.key](float(np.mean(chances[place]))) for place in places]
    axes.plot(places, bounds, color=MUTED, linewidth=1, linestyle=DASHED, zorder=1)
