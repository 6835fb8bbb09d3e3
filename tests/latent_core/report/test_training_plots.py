"""Figures of a training: a line a run, a dashed bound where there is one, and no panel for what was not measured."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from latent_core.report.training_plots import REASONING, Arm, Panel, measured, panels_figure, training_figures

DUE = {"mutual_information": 1.0, "retrieval_at_1": 0.5, "conditional_entropy": 9.0, "chance_at_1": 0.25}
STEPS = [
    {"step": step, "reward": 0.1 * step, "first_token_entropy": 1.0, "sampler_kl": 0.0} | (DUE if step % 2 == 0 else {})
    for step in range(5)
]


def test_sparse_measures_are_drawn_at_their_steps_beside_what_bounds_them() -> None:
    figure = panels_figure({"a": Arm("#000000", [STEPS])}, measured({"a": Arm("#000000", [STEPS])}, REASONING))
    information, retrieval, entropy, first, divergence, nothing = figure.axes
    assert list(information.lines[0].get_xdata()) == [0, 2, 4] and list(first.lines[0].get_xdata()) == [0, 1, 2, 3, 4]
    assert list(information.lines[-1].get_ydata()) == pytest.approx([np.log(4)] * 3)
    assert list(retrieval.lines[-1].get_ydata()) == [25.0] * 3
    assert len(information.lines) == 3 and len(entropy.lines) == 2
    assert not nothing.get_visible() and divergence.get_xlabel() == first.get_xlabel() == "step"


def test_mean_is_over_the_steps_that_all_runs_have() -> None:
    runs = [[{"step": step, "reward": value} for step in steps] for value, steps in ((1.0, (0, 1)), (3.0, (1, 2)))]
    (axes, _) = panels_figure({"a": Arm("#000000", runs)}, [Panel("reward", "reward")]).axes
    assert (list(axes.lines[-1].get_xdata()), list(axes.lines[-1].get_ydata())) == ([1], [2.0])


def test_figures_of_one_training_hold_what_was_measured_and_are_the_same_again() -> None:
    found = training_figures(STEPS)
    assert [one.name for one in found] == ["training", "reasoning"] and found == training_figures(STEPS)
    for one in found:
        ElementTree.fromstring(one.svg)
    titles = [found[0].svg.count(title) for title in (b">reward<", b">correct, %<")]
    assert titles == [1, 0]
    assert training_figures([]) == []
