"""Held-out seeds have instances that were not trained on."""

from __future__ import annotations

import pytest

from latent_core.errors import InputError
from latent_core.rl.environments import find_environment
from latent_core.rl.environments.held_out import held_out_seeds


def test_held_out_seeds_have_no_instance_of_training() -> None:
    spec = find_environment("cube")
    cube = spec.open()
    trained = {cube.reset(seed)[0] for seed in range(100)}
    seeds = held_out_seeds(spec, 20, trained_on=range(100), first=1000)
    assert len(seeds) == len(set(seeds)) == 20 and min(seeds) >= 1000
    assert not trained & {cube.reset(seed)[0] for seed in seeds}
    assert trained & {cube.reset(seed)[0] for seed in range(1000, max(seeds))}  # some had to be left out


def test_held_out_seeds_that_are_not_there_are_an_error() -> None:
    spec = find_environment("cube")
    with pytest.raises(InputError, match="train on fewer seeds"):
        held_out_seeds(spec, 2, trained_on=range(200), first=0)
