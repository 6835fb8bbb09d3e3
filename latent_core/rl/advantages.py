"""Advantages from returns: the estimators of reinforcement learning as pure functions of arrays.

Group estimators take the returns of one group, the rollouts of one question or one game. Returns that are all equal up
to rounding give advantages of exactly 0, whatever their value: a residue of a mean would be trained on, and Adam, which
divides by the gradient's own size, makes a whole step of it. A group of one has nothing to be compared with and gets 0
as well. Everything is float64; what is not finite raises InputError.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from numbers import Integral
from operator import ge
from typing import Any

import numpy as np
import numpy.typing as npt

from latent_core.errors import InputError
from latent_core.rl.groups import Floats, are_equal, deviation, finite


def dr_grpo(returns: npt.ArrayLike) -> Floats:
    """R - mean(R), shape (G,) (Dr. GRPO: Liu et al., arXiv 2503.20783, section 3.2)."""
    group = _group(returns)
    return np.zeros_like(group) if are_equal(group) else group - group.mean()


def grpo(returns: npt.ArrayLike) -> Floats:
    """(R - mean(R)) / std(R), shape (G,), std with ddof 1 (GRPO: Shao et al., arXiv 2402.03300, section 4.1.2).

    Nothing is added to the deviation: groups that are equal up to rounding are told apart before the division.
    """
    group = _group(returns)
    return np.zeros_like(group) if are_equal(group) else (group - group.mean()) / deviation(group)


def rloo(returns: npt.ArrayLike) -> Floats:
    """R less the mean of the others, G/(G-1) (R - mean(R)), shape (G,) (RLOO: Ahmadian et al., arXiv 2402.14740)."""
    group = _group(returns)
    return dr_grpo(group) * (len(group) / max(1, len(group) - 1))


def returns_to_go(rewards: npt.ArrayLike, gamma: float) -> Floats:
    """Of turn k the sum of gamma^(j-k) r_j over the turns j >= k, shape (turns,)."""
    _share("gamma", gamma)
    result = finite("rewards", rewards).copy()
    for turn in range(len(result) - 2, -1, -1):
        result[turn] += gamma * result[turn + 1]
    return result


def turn_level(rewards: Sequence[Sequence[float]], *, gamma: float = 1.0, scaled: bool = True) -> list[Floats]:
    """An advantage for every turn of every episode of a group, shaped as `rewards`: G episodes of any numbers of turns.

    A turn's return-to-go is compared with those of the group's other members at the same turn, less their mean and, if
    `scaled`, over their standard deviation (as outcome supervision does with returns, arXiv 2402.03300, section 4.1).
    A member whose episode has ended by then has a return-to-go of 0. The baseline so depends on the turn's number and
    not on the action, and the turns that one member alone reaches still teach. One turn each: `grpo`.
    """
    normalised = grpo if scaled else dr_grpo
    lengths = [len(episode) for episode in rewards]
    if not lengths or not min(lengths):
        raise InputError("rewards: every group needs an episode, and every episode a turn")
    table = np.zeros((len(rewards), max(lengths)))
    for row, episode in enumerate(rewards):
        table[row, : lengths[row]] = returns_to_go(episode, gamma)
    advantages = np.stack([normalised(column) for column in table.T], axis=1)
    return [advantages[row, :length] for row, length in enumerate(lengths)]


def gigpo(
    rewards: Sequence[Sequence[float]],
    states: Sequence[Sequence[Hashable]],
    *,
    gamma: float = 0.95,
    weight: float = 1.0,
    scaled: bool = False,
) -> list[Floats]:
    """Group-in-group advantages of every turn, shaped as `rewards` (GiGPO: Feng et al., arXiv 2505.10978, section 3).

    A = A_episode + weight * A_step. A_episode compares whole returns, undiscounted, within the group. A_step compares
    the returns-to-go, discounted by `gamma`, of all turns of the group that began in the same state: `states[i][k]` is
    the state before turn k of episode i, an anchor where it occurs again, in another episode or in the same. A state
    that was met once gives a step advantage of 0. `weight` is the paper's omega; `scaled` divides both by their groups'
    standard deviations, else by 1 (the paper's F_norm).

    Raises InputError for states that are None, and for groups that are empty or of another shape than `states`.
    """
    normalised = grpo if scaled else dr_grpo
    if [len(episode) for episode in rewards] != [len(episode) for episode in states]:
        raise InputError("states: expected one for every turn, the state that the turn began in")
    check_states([state for episode in states for state in episode])
    whole = normalised([finite("rewards", episode).sum() for episode in rewards])
    members: dict[Hashable, list[tuple[int, int]]] = defaultdict(list)
    for row, episode in enumerate(states):
        for turn, state in enumerate(episode):
            members[state].append((row, turn))
    to_go = [returns_to_go(episode, gamma) for episode in rewards]
    result = [np.full(len(episode), whole[row]) for row, episode in enumerate(rewards)]
    for places in members.values():
        steps = normalised([to_go[row][turn] for row, turn in places])
        for (row, turn), step in zip(places, steps, strict=True):
            result[row][turn] += weight * step
    return result


def check_states(states: Sequence[Hashable]) -> None:
    """Raises InputError where one of the states that turns began in is None: all such turns would look alike."""
    if any(state is None for state in states):
        raise InputError(
            "agent.estimator: gigpo compares turns that began in the same state, which this environment does not tell; "
            "take turn_level"
        )


def gae(
    rewards: npt.ArrayLike,
    values: npt.ArrayLike,
    *,
    gamma: float,
    lambda_: float,
    acted: Sequence[bool] | None = None,
) -> Floats:
    """Generalised advantage estimation, shape (T,) (Schulman et al., arXiv 1506.02438, equation 16).

    delta_t = r_t + gamma V_{t+1} - V_t, with value 0 after the end, and A_t = delta_t + gamma lambda A_{t+1}. `values`
    are of the state before each token. Tokens that are not `acted` (observations) are no steps: the step after a token
    is the next acted one, and their own advantage is 0.
    """
    _share("gamma", gamma)
    _share("lambda_", lambda_)
    reward, value, places = _steps(rewards, values, acted)
    return _scattered(_backward(reward, value, 0.0, gamma, lambda_), places, np.size(rewards))


def bi_level_gae(
    rewards: npt.ArrayLike,
    values: npt.ArrayLike,
    turn_ends: Sequence[int],
    *,
    gamma_turn: float,
    lambda_turn: float,
    gamma_token: float,
    lambda_token: float,
    acted: Sequence[bool] | None = None,
) -> Floats:
    """Advantages over turns and over the tokens within each, shape (T,) (bi-level GAE: VAGEN, arXiv 2510.16907).

    `turn_ends` are the places of the last token e_k of every turn, ascending, the last acted token among them. They are
    given and not read off the rewards, so that a turn may well be worth 0.

    Over turns: D_k = r(e_k) + gamma_turn V(e_{k+1}) - V(e_k), without the second term in the last turn, and
    A(e_k) = D_k + gamma_turn lambda_turn A(e_{k+1}). This delta alone crosses a turn's end, from one turn's last token
    to the next one's: a turn is discounted once, however long it is.

    Within a turn, for t < e_k: d_t = r_t + gamma_token V_{t+1} - V_t and A_t = d_t + gamma_token lambda_token A_{t+1}.
    So a reward at another token than its turn's last (a cost for each token) is felt by the tokens of its turn up to
    it, and by no earlier turn.

    With one turn this is `gae`; with all four factors 1 too, where rewards stand at turns' ends only. `acted` is as
    there. Raises InputError for ends that are no whole numbers, out of order, out of range or not acted.
    """
    for name, factor in (
        ("gamma_turn", gamma_turn),
        ("lambda_turn", lambda_turn),
        ("gamma_token", gamma_token),
        ("lambda_token", lambda_token),
    ):
        _share(name, factor)
    reward, value, places = _steps(rewards, values, acted)
    given = _ascending(turn_ends)
    if given[-1] != places[-1] or not set(given) <= set(places.tolist()):
        raise InputError(f"turn_ends: {given} must be places of acted tokens, the last of them {int(places[-1])}")
    ends = np.searchsorted(places, given)
    advantages = np.zeros_like(reward)
    advantages[ends] = _backward(reward[ends], value[ends], 0.0, gamma_turn, lambda_turn)
    start = 0
    for end in ends:
        within = slice(start, end)
        advantages[within] = _backward(
            reward[within], value[within], value[end], gamma_token, lambda_token, after=advantages[end]
        )
        start = end + 1
    return _scattered(advantages, places, np.size(rewards))


def _group(returns: npt.ArrayLike) -> Floats:
    group = finite("returns", returns)
    if not len(group):
        raise InputError("returns: a group needs at least one")
    return group


def _share(name: str, factor: float) -> None:
    if not 0 <= factor <= 1:
        raise InputError(f"{name}: must be between 0 and 1, not {factor}")


def _ascending(turn_ends: Any) -> list[int]:
    given = turn_ends.tolist() if isinstance(turn_ends, np.ndarray) else turn_ends
    are_whole = isinstance(given, Sequence) and all(
        isinstance(end, Integral) and not isinstance(end, bool) for end in given
    )
    if not are_whole or isinstance(given, bytes) or not given or any(map(ge, given, given[1:])):
        raise InputError(f"turn_ends: {given!r:.80} are not ascending places of the turns' last tokens")
    return [int(end) for end in given]


def _backward(
    rewards: Floats, values: Floats, last_value: float, gamma: float, lambda_: float, *, after: float = 0.0
) -> Floats:
    """GAE of steps before a state of `last_value`, whose own advantage is `after`."""
    deltas = rewards + gamma * np.append(values[1:], last_value)[: len(values)] - values
    advantages = np.empty_like(deltas)
    for step in range(len(deltas) - 1, -1, -1):
        after = advantages[step] = deltas[step] + gamma * lambda_ * after
    return advantages


def _steps(
    rewards: npt.ArrayLike, values: npt.ArrayLike, acted: Sequence[bool] | None
) -> tuple[Floats, Floats, npt.NDArray[np.intp]]:
    """Rewards and values of the acted tokens, and these tokens' places."""
    reward, value = finite("rewards", rewards), finite("values", values)
    mask = np.ones(len(reward), dtype=bool) if acted is None else np.asarray(acted, dtype=bool)
    if not len(reward) == len(value) == len(mask):
        raise InputError(f"values: {len(value)} and {len(mask)} acted marks do not fit {len(reward)} rewards")
    if not mask.any():
        raise InputError("acted: an episode needs at least one acted token")
    if reward[~mask].any():
        raise InputError("rewards: one stands at a token that was not acted; give it to the turn's last token")
    places = np.flatnonzero(mask)
    return reward[places], value[places], places


def _scattered(advantages: Floats, places: npt.NDArray[np.intp], length: int) -> Floats:
    result = np.zeros(length)
    result[places] = advantages
    return result
