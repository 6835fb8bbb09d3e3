"""What training saw at every step: of its rollouts, and of the value head where there is one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy as np

LOGGED = ("value_loss", "explained_variance")
"""What a value head's fit logs: the mean squared error before it, and how much of the targets' variance the values
explained; a step whose targets are all equal has no explained variance."""
STEP_COLUMNS = ("step", "reward", "verdict", "tokens", "latent_tokens")
"""The columns that `rollout_steps` reads."""


class Curves:
    """Collects the turns of a training, in any order, and tells each step's measures."""

    def __init__(self) -> None:
        self._steps: dict[int, dict[str, Any]] = defaultdict(
            lambda: {"groups": defaultdict(list), "turns": 0, "tokens": 0, "latent": 0, "ends": [], "won": []}
        )
        self._logged: dict[int, dict[str, float]] = defaultdict(dict)

    def add(self, row: Mapping[str, Any]) -> None:
        """A row of `agent_schema`."""
        step = self._steps[int(row["step"])]
        step["turns"] += 1
        step["tokens"] += row["tokens"]
        step["latent"] += row["latent_tokens"]
        if row["end"] is not None:
            step["groups"][row["seed"]].append(row["return"])
            step["ends"].append(row["end"])
            step["won"].append(bool(row["success"]))

    def add_logged(self, entries: Iterable[Mapping[str, float]]) -> None:
        """Entries of the trainer's log, whose steps count from 1: a step's rollouts are logged when it is done."""
        for entry in entries:
            found = {name: float(entry[name]) for name in LOGGED if name in entry}
            if found:
                self._logged[int(entry["step"]) - 1] |= found

    def steps(self) -> list[dict[str, float]]:
        """One entry a step, in order: `return` and `success` are means over episodes, `within_group_std` (ddof 1) is
        the mean over groups of two or more, left out where there is none; lengths are tokens a turn, `latent_share` is
        of the model's own tokens. Those of `LOGGED` are there where they were logged."""
        return [
            {"step": number} | _measures(step) | self._logged.get(number, {})
            for number, step in sorted(self._steps.items())
        ]


def _measures(step: Mapping[str, Any]) -> dict[str, float]:
    returns = [value for group in step["groups"].values() for value in group]
    spreads = [float(np.std(group, ddof=1)) for group in step["groups"].values() if len(group) > 1]
    return {
        "episodes": len(returns),
        "return": float(np.mean(returns)),
        "success": float(np.mean(step["won"])),
        "format_rate": 1 - sum(end == "format" for end in step["ends"]) / len(step["ends"]),
        "turns": step["turns"] / len(returns),
        "tokens_per_turn": step["tokens"] / step["turns"],
        "latent_share": step["latent"] / max(1, step["tokens"]),
    } | ({"within_group_std": float(np.mean(spreads))} if spreads else {})


def rollout_steps(rows: Iterable[Mapping[str, Any]], samples: int) -> Iterator[dict[str, float]]:
    """As `Curves.steps`, of one-turn rollouts (`rollout_schema`) that come step by step and group by group.

    `format_rate` is the share of completions that were not cut and gave an answer; lengths are tokens a completion.
    """
    for number, found in groupby(rows, key=lambda row: int(row["step"])):
        of_step = list(found)
        rewards = np.array([row["reward"] for row in of_step]).reshape(-1, samples)
        tokens = sum(row["tokens"] for row in of_step)
        verdicts = [row["verdict"] for row in of_step]
        yield {
            "step": number,
            "reward": float(rewards.mean()),
            "correct": verdicts.count("correct") / len(verdicts),
            "format_rate": sum(verdict in ("correct", "wrong") for verdict in verdicts) / len(verdicts),
            "tokens": tokens / len(of_step),
            "latent_share": sum(row["latent_tokens"] for row in of_step) / max(1, tokens),
            "within_group_std": float(rewards.std(axis=1, ddof=1).mean()),
        }


def with_diagnosis(
    steps: Iterable[Mapping[str, float]], diagnosis: Mapping[int, Mapping[str, float]]
) -> list[dict[str, float]]:
    """Entries of steps with what was diagnosed of each. Steps that learned from earlier rollouts have an entry of
    their own, with that alone."""
    found = {int(step["step"]): dict(step) for step in steps}
    for number, measures in diagnosis.items():
        found[number] = found.get(number, {"step": number}) | dict(measures)
    return [found[number] for number in sorted(found)]
