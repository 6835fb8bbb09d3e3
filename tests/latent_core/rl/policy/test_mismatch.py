"""The estimate of the divergence between sampler and trainer, against known values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from latent_core.rl.policy.mismatch import Mismatch, sampler_trainer_kl

SAMPLER, TRAINER = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.5, 0.3])


def test_estimate_is_the_divergence_once_every_token_comes_as_often_as_it_is_likely() -> None:
    drawn = np.repeat(np.arange(3), [5, 3, 2])
    found = sampler_trainer_kl(np.log(SAMPLER[drawn]), np.log(TRAINER[drawn]), np.ones(10))
    assert found == pytest.approx(float((SAMPLER * np.log(SAMPLER / TRAINER)).sum()))


def test_estimate_of_one_token_is_k3_and_contexts_and_padding_do_not_count() -> None:
    sampler, trainer = [[-1.0, 0.0], [-7.0, -np.inf]], [[-0.5, 0.0], [-3.0, 0.0]]
    found = sampler_trainer_kl(sampler, trainer, [[1, 0], [0, 0]])
    assert found == pytest.approx(math.exp(0.5) - 1 - 0.5)
    assert sampler_trainer_kl(sampler, trainer, [[1, 1], [0, 0]]) == pytest.approx(found / 2)


def test_estimate_is_never_negative_and_keeps_small_differences() -> None:
    sampler = np.log(np.random.default_rng(0).uniform(0.1, 1, 100))
    assert sampler_trainer_kl(sampler, sampler, np.ones(100)) == 0
    for difference in (1e-7, -1e-7):
        found = sampler_trainer_kl(sampler, sampler + difference, np.ones(100))
        assert found == pytest.approx(difference**2 / 2, rel=1e-3, abs=0)
    assert all(sampler_trainer_kl([-1.0], [-1.0 + difference], [1]) > 0 for difference in (3.0, 0.3, -0.3, -3.0))


def test_token_that_the_trainer_forbids_makes_it_infinite() -> None:
    assert sampler_trainer_kl([-1.0, -1.0], [-1.0, -np.inf], [1, 1]) == math.inf


def test_estimate_from_nothing_is_no_number_and_what_cannot_be_is_refused() -> None:
    assert math.isnan(sampler_trainer_kl([-1.0], [-1.0], [0]))
    with pytest.raises(ValueError, match="shapes differ"):
        sampler_trainer_kl([[-1.0]], [-1.0], [1])
    with pytest.raises(ValueError, match="sampler: a token was sampled"):
        sampler_trainer_kl([-np.inf], [-1.0], [1])


def test_weights_are_ratios_up_to_the_cap_and_one_where_nothing_is_own() -> None:
    sampler = torch.log(torch.tensor([[0.2, 0.4, 0.1], [0.5, 0.5, 1.0]]))
    trainer = torch.log(torch.tensor([[0.3, 0.1, 0.9], [0.5, 0.1, 1.0]]))
    own = torch.tensor([[1, 1, 1], [1, 0, 0]])
    seen = Mismatch()
    weights = seen.weights(sampler, trainer, own, cap=2.0)
    assert weights.tolist() == [pytest.approx([1.5, 0.25, 2.0]), pytest.approx([1.0, 1.0, 1.0])]
    assert seen.take() == {"capped_share": 0.25}
    seen.add(sampler, trainer, own)
    assert seen.take() == pytest.approx(
        {"sampler_kl": sampler_trainer_kl(sampler, trainer, own), "largest_difference": math.log(9)}
    )
