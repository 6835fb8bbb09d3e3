"""Differences of returns: paired, over instances that all played, and honest about a control that is one model."""

from __future__ import annotations

import numpy as np
import pytest

from latent_core.errors import InputError
from latent_core.evaluation.return_differences import Returns, return_difference
from latent_core.report.agents import student


def _returns(values: np.ndarray) -> Returns:
    return dict(enumerate(values.tolist()))


def test_difference_is_paired_by_seed_and_instance() -> None:
    hard = np.linspace(-5, 5, 40)  # instances differ much more than models
    agents = [_returns(hard + gain) for gain in (0.5, 0.6, 0.7)]
    controls = [_returns(hard + gain) for gain in (0.1, 0.1, 0.4)]
    found = return_difference("placebo", agents, controls)
    assert found.value == pytest.approx(0.4) and found.each_seed == pytest.approx((0.4, 0.5, 0.3))
    expected = student([0.4, 0.5, 0.3])
    assert found.interval is not None and expected is not None
    assert found.interval[1:] == pytest.approx(expected[1:], rel=0.01) and (found.control, found.instances) == (
        "placebo",
        40,
    )


def test_what_one_control_returned_by_chance_is_in_the_interval() -> None:
    """Three agents and a start that are all alike: the start's chance alone would look like a loss of every agent."""
    random = np.random.default_rng(1)
    agents = [_returns(random.normal(0, 0.001, 200)) for _ in range(3)]
    lucky = _returns(random.normal(0, 1, 200))
    found = return_difference("start", agents, [lucky])
    narrow = student(found.each_seed)
    assert found.interval is not None and narrow is not None
    assert narrow.high - narrow.low < 0.01 < found.interval.high - found.interval.low
    chance = 2 * 1.96 * np.std(list(lucky.values())) / 200**0.5
    assert found.interval.high - found.interval.low == pytest.approx(chance, rel=0.1)


def test_interval_is_no_narrower_than_students_over_seeds() -> None:
    """Instances without differences: the seeds are all there is."""
    agents = [_returns(np.full(50, gain)) for gain in (0.1, 0.1, 0.4)]
    found = return_difference("start", agents, [_returns(np.zeros(50))])
    expected = student([0.1, 0.1, 0.4])
    assert found.interval is not None and expected is not None
    assert found.interval.low <= expected.low + 1e-9 and found.interval.high >= expected.high - 1e-9


def test_seeds_that_happen_to_agree_do_not_borrow_certainty_from_instances() -> None:
    """Seeds make as much of this difference as instances, and there are three of them."""
    hard = np.linspace(-0.19, 0.19, 100)
    shifts = (0.1, 0.1, 0.13)
    found = return_difference("start", [_returns(hard + shift) for shift in shifts], [_returns(np.zeros(100))])
    expected = student(shifts)
    assert found.interval is not None and expected is not None
    assert found.interval.high - found.interval.low >= expected.high - expected.low - 1e-9


def test_instances_that_one_model_has_not_played_are_left_out_for_all() -> None:
    agents = [{1: 1.0, 2: 0.0, 3: 9.0}, {1: 1.0, 2: 0.5}]
    found = return_difference("start", agents, [{1: 0.0, 2: 0.0, 4: 9.0}])
    assert (found.instances, found.value, found.each_seed) == (2, 0.625, (0.5, 0.75))


def test_one_seed_has_no_interval() -> None:
    assert return_difference("start", [{1: 1.0, 2: 0.0}], [{1: 0.0, 2: 0.0}]).interval is None
    one = return_difference("start", [{1: 1.0}, {1: 0.0}], [{1: 0.0}])  # one instance: Student's over seeds is left
    assert one.interval == student([1.0, 0.0])


def test_models_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(InputError, match=r"^placebo: 2 models for 3 agents"):
        return_difference("placebo", [{1: 1.0}] * 3, [{1: 1.0}] * 2)
    with pytest.raises(InputError, match=r"^start: no instance was played by all"):
        return_difference("start", [{1: 1.0}], [{2: 1.0}])
