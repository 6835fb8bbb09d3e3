"""Multi-armed bandit: arms with hidden chances, a few pulls, and names that tell nothing.

Rewards are Bernoulli, an arm's chance is drawn from Beta(1/2, 1/2). The same prior is that of the references: perfect
Bayesian play and Thompson sampling (Thompson 1933; Chapelle and Li, NeurIPS 2011).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cache
from math import pi, sin

from latent_core.rl.environments.game import Game, instance_random
from latent_core.rl.environments.protocol import EnvironmentSpec

ARMS = 5
PULLS = 4
PRIOR = 0.5  # both parameters of the Beta distribution of the arms' chances
NAMES = tuple("ant bat bear bee cat cow crab deer dog duck fox frog goat hen lion mole owl pig ram wolf".split())


class Bandit(Game):
    """One pull an action. How often an arm has been pulled decides what it pays next, whenever it is pulled."""

    def __init__(self, arms: int = ARMS, pulls: int = PULLS) -> None:
        super().__init__(pulls)
        self._arms = arms
        self._last = ""

    def _begin(self, seed: int) -> None:
        random = instance_random("bandit", seed)
        self._names = tuple(sorted(NAMES, key=lambda _: random.random())[: self._arms])
        self.chances = tuple(sin(pi / 2 * random.random()) ** 2 for _ in self._names)  # the inverse of Beta(1/2, 1/2)
        self._pays = [[int(random.random() < chance) for _ in range(self._max_turns)] for chance in self.chances]
        self._paid: list[list[int]] = [[] for _ in self._names]
        self._last = f"Arms: {', '.join(self._names)}"

    @property
    def counts(self) -> tuple[tuple[int, int], ...]:
        """Of each arm, how often it paid 1 and how often 0."""
        return tuple((sum(paid), len(paid) - sum(paid)) for paid in self._paid)

    def _legal(self) -> tuple[str, ...]:
        return self._names

    def _play(self, action: str) -> float:
        arm = self._names.index(action)
        reward = self._pays[arm][len(self._paid[arm])]
        self._paid[arm].append(reward)
        self._last = f"{action} paid {reward}."
        return float(reward)

    def _is_over(self) -> bool:
        return False  # only the pulls end it

    def _is_won(self) -> None:
        return None

    def _observation(self) -> str:
        return f"{self._last}\n{self._reminder()}"

    def _reminder(self) -> str:
        return f"Pulls left: {self.turns_left}"

    def _state(self) -> Hashable:
        return self.counts


def optimum(seed: int) -> float:
    """Expected return of who knows the chances: the best arm's chance times the pulls. No player can know it."""
    bandit = Bandit()
    bandit.reset(seed)
    return PULLS * max(bandit.chances)


@cache
def bayes_return(arms: int = ARMS, pulls: int = PULLS) -> float:
    """Expected return, over instances, of perfect play without knowing the chances: no player does better on average.

    Dynamic programming over the arms' counts, exact.
    """
    return _bayes_value(((0, 0),) * arms, pulls)


@cache
def _bayes_value(counts: tuple[tuple[int, int], ...], pulls: int) -> float:
    """`counts` sorted, since arms with equal counts are worth the same."""
    if pulls == 0:
        return 0.0
    values = []
    for arm, (ones, zeros) in enumerate(counts):
        others = counts[:arm] + counts[arm + 1 :]
        paid = _bayes_value(tuple(sorted((*others, (ones + 1, zeros)))), pulls - 1)
        not_paid = _bayes_value(tuple(sorted((*others, (ones, zeros + 1)))), pulls - 1)
        mean = (ones + PRIOR) / (ones + zeros + 2 * PRIOR)
        values.append(mean * (1 + paid) + (1 - mean) * not_paid)
    return max(values)


def thompson_return(seeds: Sequence[int], *, sampling_seed: int = 0) -> float:
    """Mean return of Thompson sampling, one episode a seed: the arm is pulled whose drawn chance is highest."""
    random = instance_random("bandit/thompson", sampling_seed)
    total = 0.0
    for seed in seeds:
        bandit = Bandit()
        _, info = bandit.reset(seed)
        truncated = False
        while not truncated:
            drawn = [random.betavariate(ones + PRIOR, zeros + PRIOR) for ones, zeros in bandit.counts]
            _, reward, _, truncated, _ = bandit.step(info["legal"][drawn.index(max(drawn))])
            total += reward
    return total / len(seeds)


BANDIT = EnvironmentSpec(
    name="bandit",
    version=1,
    instruction=(
        f"You see the names of {ARMS} arms. Each arm has its own hidden chance of paying 1; otherwise it pays 0. "
        f"You have {PULLS} pulls. Collect as much as you can. An action is the name of the arm to pull."
    ),
    max_turns=PULLS,
    open=Bandit,
    lowest=0.0,
    optimum=optimum,
)
