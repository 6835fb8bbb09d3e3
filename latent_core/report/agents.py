"""What the report of agents is made of: measures of every arm over its seeds, and differences to the start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from latent_core.evaluation.crossed_bootstrap import over_seeds
from latent_core.evaluation.return_differences import ReturnDifference, Returns, return_difference
from latent_core.evaluation.statistics import Estimate
from latent_core.report.training_plots import Steps

START, TRAINED, PLACEBO = "start", "trained", "placebo"
RANDOM, OPTIMUM = "random play", "optimum"


class Member(NamedTuple):
    """One model of an arm; the start model has no seed."""

    arm: str
    seed: int | None = None

    @property
    def name(self) -> str:
        return self.arm if self.seed is None else f"{self.arm}-seed{self.seed}"


@dataclass(frozen=True)
class ArmRow:
    """One arm. `interval` is of the mean return, None where one seed alone was trained; `over` says of what: seeds
    (Student's t) or instances (bootstrap). Shares, turns and tokens are means over seeds, None where they are not
    told; `ends` counts episodes."""

    arm: str
    seeds: tuple[int, ...]
    value: float
    interval: Estimate | None
    over: str
    each_seed: tuple[float, ...]
    success: float | None
    format_rate: float | None
    turns: float | None
    tokens_per_turn: float | None
    ends: Mapping[str, int]


@dataclass(frozen=True)
class Agents:
    """Everything the report says. `played` and `reference` are the metrics of the stages `play` and `reference_play`,
    `curves` those of the stage `agent`; `returns` are what each model of `played` returned, instance by instance."""

    title: str
    played: Mapping[Member, Mapping[str, Any]]
    curves: Mapping[Member, Steps]
    reference: Mapping[str, Any]
    returns: Mapping[Member, Returns]

    @property
    def instances(self) -> int:
        """The most that any model played."""
        return max((int(measures.get("instances", 0)) for measures in self.played.values()), default=0)

    def arms(self) -> list[ArmRow]:
        """One row an arm, in the order they are read: random play, start, trained, placebo, the best play known."""
        rows = [] if self.reference["random"] is None else [self._random(self.reference["random"])]
        for arm in dict.fromkeys(member.arm for member in self.played):
            found = {member: measures for member, measures in self.played.items() if member.arm == arm}
            if all(measures["episodes"] for measures in found.values()):
                rows.append(self._played(arm, found))
        if self.reference["optimum"] is not None:
            best = float(self.reference["optimum"])
            rows.append(ArmRow(OPTIMUM, (), best, None, "", (), None, None, None, None, {}))
        return rows

    def differences(self) -> list[ReturnDifference]:
        """Of the trained agents to the start model, and to the placebo of the same seed."""
        seeds = {row.arm: row.seeds for row in self.arms()}
        if TRAINED not in seeds:
            return []
        controls = [START] if START in seeds else []
        controls += [PLACEBO] if seeds.get(PLACEBO) == seeds[TRAINED] else []
        return [return_difference(one, self._returns(TRAINED), self._returns(one)) for one in controls]

    def _returns(self, arm: str) -> list[Returns]:
        return [self.returns[member] for member in self.played if member.arm == arm]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types: the tables, and what that of the arms is computed from."""
        return {
            "title": self.title,
            "arms": [asdict(row) | {"interval": _json(row.interval)} for row in self.arms()],
            "differences": [asdict(one) | {"interval": _json(one.interval)} for one in self.differences()],
            "reference": dict(self.reference),
            "models": [
                {"arm": member.arm, "seed": member.seed, "play": dict(measures)}
                | ({"steps": [dict(step) for step in self.curves[member]]} if member in self.curves else {})
                for member, measures in self.played.items()
            ],
        }

    def _has_goal(self) -> bool:
        """Whether the environment tells of success: random play has heard of it, or some model had it.

        A limit of turns may cut every random episode before its end, where success is told.
        """
        random = self.reference["random"]
        known = random is None or random["success"] is not None
        return known or any(measures["success"]["value"] for measures in self.played.values())

    def _random(self, found: Mapping[str, Any]) -> ArmRow:
        estimate = Estimate(**found["return"])
        success = None if found["success"] is None else float(found["success"]["value"])
        return ArmRow(
            RANDOM, (), estimate.value, estimate, "instances", (), success, None, float(found["turns"]), None, {}
        )

    def _played(self, arm: str, found: Mapping[Member, Mapping[str, Any]]) -> ArmRow:
        members, measures = list(found), list(found.values())
        returns = [float(one["return"]["value"]) for one in measures]
        seeds = tuple(member.seed for member in members if member.seed is not None)
        interval = student(returns) if seeds else Estimate(**measures[0]["return"])
        ends: Counter[str] = Counter()
        for one in measures:
            ends.update(one["ends"])
        return ArmRow(
            arm,
            seeds,
            _mean(returns),
            interval,
            "seeds" if seeds else "instances",
            tuple(returns) if seeds else (),
            _mean(one["success"]["value"] for one in measures) if self._has_goal() else None,
            _mean(one["format_rate"] for one in measures),
            _mean(one["turns"] for one in measures),
            _mean(one["tokens_per_turn"] for one in measures),
            dict(sorted(ends.items())),
        )


def student(values: Sequence[float]) -> Estimate | None:
    """Mean and its 95 % interval by Student's t with n − 1 degrees of freedom; None for a single value."""
    if len(values) < 2:
        return None
    return over_seeds(np.asarray(values, dtype=np.float64)).interval(_mean(values))


def _mean(values: Sequence[float] | Iterator[float]) -> float:
    return float(np.mean([float(value) for value in values]))


def _json(estimate: Estimate | None) -> dict[str, float] | None:
    return None if estimate is None else estimate._asdict()
