"""The bandit: what arms pay, and its three references."""

from __future__ import annotations

from itertools import product
from statistics import mean

import pytest

from latent_core.rl.environments.bandit import (
    ARMS,
    PULLS,
    Bandit,
    bayes_return,
    optimum,
    thompson_return,
)


def test_pull_tells_what_the_arm_paid_and_how_many_pulls_are_left() -> None:
    bandit = Bandit()
    first, info = bandit.reset(1)
    arm = info["legal"][2]
    assert first == f"Arms: {', '.join(info['legal'])}\nPulls left: 4"
    observation, reward, _, _, _ = bandit.step(arm)
    assert observation == f"{arm} paid {int(reward)}.\nPulls left: 3"


def test_illegal_pull_costs_a_pull_and_tells_the_arms() -> None:
    bandit = Bandit()
    _, info = bandit.reset(1)
    bandit.step(info["legal"][0])
    observation, reward, *_, after = bandit.step("unicorn")
    assert observation == f"Illegal action. Legal actions: {', '.join(info['legal'])}\nPulls left: 2"
    assert reward == 0 and not after["valid"]


def test_arm_pays_one_as_often_as_its_chance_says() -> None:
    paid, chances = [], []
    for seed in range(400):
        bandit = Bandit()
        _, info = bandit.reset(seed)
        paid.append(sum(bandit.step(info["legal"][0])[1] for _ in range(PULLS)) / PULLS)
        chances.append(bandit.chances[0])
    assert abs(mean(paid) - mean(chances)) < 0.03
    high = [share for share, chance in zip(paid, chances, strict=True) if chance > 0.8]
    assert abs(mean(high) - mean(chance for chance in chances if chance > 0.8)) < 0.03


def test_chances_are_those_of_the_prior() -> None:
    chances = []
    for seed in range(400):
        bandit = Bandit()
        bandit.reset(seed)
        chances.extend(bandit.chances)
    assert abs(mean(chances) - 1 / 2) < 0.03
    assert abs(mean(chance**2 for chance in chances) - 3 / 8) < 0.03  # second moment of Beta(1/2, 1/2)


def test_optimum_is_the_mean_of_pulling_the_best_arm_only() -> None:
    returns = []
    for seed in range(400):
        bandit = Bandit()
        _, info = bandit.reset(seed)
        best = info["legal"][bandit.chances.index(max(bandit.chances))]
        returns.append(sum(bandit.step(best)[1] for _ in range(PULLS)))
    assert abs(mean(returns) - mean(optimum(seed) for seed in range(400))) < 0.1


def test_bayes_return_is_that_of_the_best_of_all_policies() -> None:
    """Two arms and two pulls: a policy is a first arm and an arm after each pay; the integrals are moments of Beta."""
    first, second = 1 / 2, 3 / 8  # E[p], E[p²]
    returns = []
    for after_one, after_zero in product(("same", "other"), repeat=2):
        value = first
        value += second if after_one == "same" else first * first
        value += first - second if after_zero == "same" else (1 - first) * first
        returns.append(value)
    assert bayes_return(2, 2) == pytest.approx(max(returns))
    assert bayes_return(1, 4) == pytest.approx(2)  # nothing to choose


def test_thompson_sampling_lies_between_random_and_perfect_play() -> None:
    thompson = thompson_return(range(500))
    assert 0.5 * PULLS + 0.1 < thompson < bayes_return(ARMS, PULLS)
    assert thompson == thompson_return(range(500))
