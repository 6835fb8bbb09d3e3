"""Seeded sampling: noise of the right distribution that depends on nothing but seed, step and token."""

from __future__ import annotations

import torch

from latent_core.generate.engine import item_seed
from latent_core.generate.seeded_sampling import SeededGumbel, gumbel_noise


def test_gumbel_noise_has_mean_and_variance_of_a_standard_gumbel() -> None:
    noise = gumbel_noise(torch.arange(200) * 7919, 3, 2000).double()
    assert abs(noise.mean().item() - 0.57722) < 0.01
    assert abs(noise.var().item() - torch.pi**2 / 6) < 0.02


def test_noise_of_a_row_does_not_depend_on_its_batch() -> None:
    together = gumbel_noise(torch.tensor([5, 6, 7]), 2, 50)
    assert torch.equal(together[1], gumbel_noise(torch.tensor([6]), 2, 50)[0])


def test_noise_differs_between_seeds_steps_and_tokens() -> None:
    rows = [gumbel_noise(torch.tensor([seed]), step, 100)[0] for seed in (1, 2) for step in (0, 1)]
    assert len({tuple(row.tolist()) for row in rows}) == 4
    assert len(set(rows[0].tolist())) == 100


def test_arg_max_of_noised_logits_samples_their_softmax() -> None:
    logits = torch.log(torch.tensor([0.1, 0.2, 0.7]))
    seeds = [item_seed(0, f"q{index}", 0) for index in range(20_000)]
    scores = SeededGumbel(seeds, 1)(torch.zeros(len(seeds), 1, dtype=torch.long), logits.expand(len(seeds), 3))
    shares = scores.argmax(-1).bincount(minlength=3) / len(seeds)
    assert torch.allclose(shares, torch.tensor([0.1, 0.2, 0.7]), atol=0.015)


def test_item_seed_depends_on_every_part_and_is_pinned() -> None:
    assert len({item_seed(s, q, i) for s in (0, 1) for q in ("a", "b") for i in (0, 1)}) == 8
    assert item_seed(42, "word_problems_train_0", 1) == 5795995824197570448
