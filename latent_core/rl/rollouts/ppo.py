"""Proximal policy optimisation of agents: advantages of tokens from rewards of turns and a learned value.

The clipped loss is TRL's (Schulman et al., arXiv 1707.06347); here is what its advantages are.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from latent_core.config.agents import AgentConfig
from latent_core.config.ppo import GaeConfig
from latent_core.rl.advantages import bi_level_gae
from latent_core.rl.curves import LOGGED
from latent_core.rl.groups import Floats, are_equal, deviation, finite
from latent_core.rl.lengths import permuted
from latent_core.rl.play.episodes import Episode
from latent_core.rl.policy.generating import generating
from latent_core.rl.policy.processes import Processes
from latent_core.rl.policy.value_head import Critic, Written, explained_variance, states_before
from latent_core.rl.rollouts.worth import Worth

Mask = npt.NDArray[np.bool_]


def credit(
    episode: Episode, values: Floats, config: GaeConfig, rewards: Sequence[float] | None = None
) -> tuple[Floats, Floats]:
    """Advantages and value targets of the tokens that the policy wrote, both of the shape of `values`, (own tokens,).

    Observations are no part of the sequence; a turn's reward stands at its last own token. A target is the advantage
    plus the value that it was reckoned with. After the last token nothing comes, also where the limit of turns cut the
    episode: its return ends there too.
    `rewards` of the turns are the episode's own unless they are given.
    """
    given = [turn.reward for turn in episode.turns] if rewards is None else rewards
    spoken = [
        (len(turn.output.token_ids), reward)
        for turn, reward in zip(episode.turns, given, strict=True)
        if turn.output.token_ids
    ]
    if not spoken:
        return np.zeros(0), np.zeros(0)
    ends = np.cumsum([length for length, _ in spoken]) - 1
    at = np.zeros(len(values))
    at[ends] = [reward for _, reward in spoken]
    advantages = bi_level_gae(
        at,
        values,
        ends.tolist(),
        gamma_turn=config.gamma_turn,
        lambda_turn=config.lambda_turn,
        gamma_token=config.gamma_token,
        lambda_token=config.lambda_token,
    )
    return advantages, advantages + values


def whitened(advantages: Floats, learned: Floats) -> Floats:
    """(A - mean) / std (ddof 1) by the mean and deviation of `learned`, those advantages that enter the loss.

    Advantages that are equal up to rounding become exactly 0.
    """
    if len(learned) < 2 or are_equal(learned):
        return np.zeros_like(advantages)
    white: Floats = (advantages - learned.mean()) / deviation(learned)
    return white


def exchanged(group: Sequence[Episode], seed: int, name: str) -> list[list[float]]:
    """A placebo: each member's turns get the rewards of another's, in an order drawn from `seed` and `name`.

    Rewards keep their turns. Where the other played more turns, the rest is added to the last; where fewer, what is
    missing is 0. So the returns of the group are permuted, and their timing stays.
    """
    order = permuted(np.arange(len(group)), seed, name).astype(int)
    result = []
    for episode, other in zip(group, order, strict=True):
        rewards = [turn.reward for turn in group[other].turns]
        last = len(episode.turns) - 1
        early = [*rewards[:last], *[0.0] * (last - len(rewards))]
        result.append([*early, float(sum(rewards[last:]))])
    return result


class Ppo:
    """The advantages of a step's rollouts, and the head that learns from them."""

    def __init__(self, config: AgentConfig, width: int) -> None:
        """`width` is that of the policy's hidden states."""
        self._config = config
        self.critic = Critic(width, config.value, config.seed)

    def teaches(self, step: int) -> bool:
        """Whether the policy learns from the rollouts of a step, or the head alone does."""
        return step >= self._config.value.warmup_steps

    def judge(
        self, groups: Sequence[Sequence[Episode]], masks: Sequence[Sequence[int]], model: Any, step: int, trainer: Any
    ) -> list[list[Worth]]:
        """Of every member of every group; then the head is fitted.

        `masks` say, for each episode in order, which tokens of its completion enter the loss. Values come before the
        fit: a head that had seen these returns would take them out of the advantages.
        """
        config = self._config
        episodes = [episode for group in groups for episode in group]
        rewards = [[turn.reward for turn in episode.turns] for episode in episodes]
        if config.placebo:
            rewards = [one for group in groups for one in exchanged(group, config.seed, f"{step}/{group[0].seed}")]
        own = [np.asarray(episode.env_mask, dtype=bool) for episode in episodes]
        states = self._states(episodes, model, trainer)
        values = _parts(self.critic.values(states), own)
        reckoned = [
            credit(episode, value, config.gae, reward)
            for episode, value, reward in zip(episodes, values, rewards, strict=True)
        ]
        advantages = [advantage for advantage, _ in reckoned]
        self._fit(states, _joined([target for _, target in reckoned]), _joined(values), trainer)
        learned = [
            advantage[np.asarray(mask, dtype=bool)[mine]]
            for advantage, mask, mine in zip(advantages, masks, own, strict=True)
        ]
        everyones = finite("advantages", _of_all_processes(_joined(learned)))
        worth = iter(
            _worth(episode, whitened(advantage, everyones), value, mine)
            for advantage, mine, episode, value in zip(advantages, own, episodes, values, strict=True)
        )
        return [[next(worth) for _ in group] for group in groups]

    def _states(self, episodes: Sequence[Episode], model: Any, trainer: Any) -> Any:
        if not episodes:
            return self.critic.nothing()
        written = [Written(one.prompt_ids, one.completion_ids, one.env_mask) for one in episodes]
        with generating(model), trainer.accelerator.autocast():
            return states_before(model, written, self._config.micro_batch_size)

    def _fit(self, states: Any, targets: Floats, values: Floats, trainer: Any) -> None:
        loss = self.critic.fit(states, targets, lambda tensor: trainer.accelerator.reduce(tensor, reduction="sum"))
        explained = explained_variance(_of_all_processes(targets), _of_all_processes(values))
        for name, measure in zip(LOGGED, (loss, explained), strict=True):
            if np.isfinite(measure):
                trainer._log_metric(name, measure)


def _parts(values: Floats, own: Sequence[Mask]) -> list[Floats]:
    """The values of each episode's own tokens."""
    ends = np.cumsum([0, *(int(mine.sum()) for mine in own)])
    return [values[start:end] for start, end in itertools.pairwise(ends)]


def _joined(parts: Sequence[Floats]) -> Floats:
    return np.concatenate([np.zeros(0), *parts])


def _of_all_processes(values: Floats) -> Floats:
    return _joined(Processes.here().everyones([values]))


def _worth(episode: Episode, advantages: Floats, values: Floats, own: Mask) -> Worth:
    """`advantages` and `values` are of the episode's own tokens. A turn's row has the mean advantage of its tokens and
    the value of its beginning, before this step's fit; 0 where the turn has no token."""
    tokens = np.zeros(len(own))
    tokens[own] = advantages
    turns, start = [], 0
    for turn in episode.turns:
        end = start + len(turn.output.token_ids)
        mean, value = (advantages[start:end].mean(), values[start]) if end > start else (0.0, 0.0)
        turns.append({"advantage": float(mean), "value": float(value)})
        start = end
    return Worth([float(one) for one in tokens], turns)
