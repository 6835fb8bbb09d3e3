"""Random play: actions that are well-formed and legal, and chosen without looking at what they do."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latent_core.errors import InputError
from latent_core.rl.environments import EnvironmentSpec, Info
from latent_core.rl.play.episodes import parse_actions
from latent_core.rl.play.turn_table import mean_over_instances


def choices(spec: EnvironmentSpec, info: Info, instance: int) -> tuple[str, ...]:
    """Actions to choose from: those that are legal now, or the environment's examples where these cannot be listed.

    What a model cannot write as one action, since it would be read otherwise, is left out. Raises InputError where
    nothing is left.
    """
    listed = tuple(info.get("legal") or ())
    if not listed and spec.example is not None:
        listed = spec.example(instance)
    found = tuple(action for action in listed if parse_actions(f"<answer>{action}</answer>") == (action.strip(),))
    if listed and not found:
        raise InputError(
            f"environment: {spec.name} lists no action that can stand between answer marks, such as {listed[0]!r:.80}: "
            "none may be empty or hold || or a mark; list others, or set format_start to null"
        )
    if not found:
        raise InputError(
            f"environment: {spec.name} lists no legal actions and has no examples, so it cannot be played at random, "
            "as a format start is; set format_start to null"
        )
    return found


def can_be_random(spec: EnvironmentSpec, instance: int) -> bool:
    """Whether an environment can be played at random, by the look of one instance.

    Raises EnvironmentFailed where it gives no answer.
    """
    if spec.takes_text:
        return False
    _, info = spec.open().reset(instance)
    return bool(info.get("legal")) or spec.example is not None


@dataclass(frozen=True)
class RandomEpisode:
    """What one random episode came to; `success` is None where the environment did not say, as when a limit cut it."""

    total: float
    turns: int
    success: bool | None


def random_play(
    spec: EnvironmentSpec, instance: int, *, samples: int, seed: int, most_turns: int | None = None
) -> list[RandomEpisode]:
    """`samples` episodes of one action a turn.

    Raises InputError for an environment that cannot be played at random, EnvironmentFailed where it gives no answer.
    """
    limit = spec.max_turns if most_turns is None else most_turns
    return [_episode(spec, instance, random.Random(f"{seed}/{instance}/{one}"), limit) for one in range(samples)]


def _episode(spec: EnvironmentSpec, instance: int, choice: random.Random, limit: int) -> RandomEpisode:
    environment = spec.open()
    _, info = environment.reset(instance)
    total, turns, is_over = 0.0, 0, False
    while not is_over and turns < limit:
        _, reward, terminated, truncated, info = environment.step(choice.choice(choices(spec, info, instance)))
        total, turns, is_over = total + reward, turns + 1, terminated or truncated
    success = info.get("success")
    return RandomEpisode(total, turns, None if success is None else bool(success))


def summary_of_random_play(groups: Sequence[Sequence[RandomEpisode]]) -> dict[str, Any]:
    """Mean return and success with 95 % intervals, and turns.

    An episode that a limit cut has not reached its goal. Where no episode tells of any goal, `success` is None.
    The unit of the intervals is the instance. Raises ValueError for no group.
    """
    episodes = [episode for group in groups for episode in group]
    has_goal = any(one.success is not None for one in episodes)
    return {
        "episodes": len(episodes),
        "instances": len(groups),
        "return": mean_over_instances(groups, lambda one: one.total),
        "success": mean_over_instances(groups, lambda one: bool(one.success)) if has_goal else None,
        "turns": float(np.mean([one.turns for one in episodes])),
    }
