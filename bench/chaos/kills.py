"""Which process is killed when: drawn from a seed, spread over every stage, a set number of times per artifact."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

COLD_SECONDS = 5.0  # what a fresh worker adds to a stage that loads a model, about
LOADS_A_MODEL = 0.5  # stages that take longer than this many seconds load one


class Kind(StrEnum):
    """What is sent SIGKILL."""

    WORKER = "worker"  # one worker; the run itself tries the call again
    RUN = "run"  # the run's process alone; its workers must end themselves; started again
    GROUP = "process group"  # the run with all its workers at once; started again
    SERVER = "Prefect server"  # started again at once; the run goes on, or is started again


@dataclass(frozen=True)
class Kill:
    """`delay` in seconds from the moment when a worker says that it starts the call."""

    kind: Kind
    delay: float


def draw_kills(durations: Mapping[str, float], counts: Mapping[Kind, int], rng: random.Random) -> dict[str, list[Kill]]:
    """The kills that await each artifact's starts, in order.

    `durations` are the seconds that each artifact took undisturbed. Kills go round over the artifacts, every stage's
    first ones first, so that few kills already cover many stages.
    """
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    rng.shuffle(kinds)
    awaiting: dict[str, list[Kill]] = defaultdict(list)
    order = _stages_in_turn(list(durations), rng)
    for index, kind in enumerate(kinds):
        key = order[index % len(order)]
        longest = durations[key]
        if longest > LOADS_A_MODEL and rng.random() < 0.5:
            longest += COLD_SECONDS
        awaiting[key].append(Kill(kind, rng.uniform(0, longest)))
    return awaiting


def _stages_in_turn(keys: Sequence[str], rng: random.Random) -> list[str]:
    by_stage: dict[str, list[str]] = defaultdict(list)
    for key in sorted(keys):
        by_stage[key.split("/")[0]].append(key)
    for same in by_stage.values():
        rng.shuffle(same)
    turns = max(len(same) for same in by_stage.values())
    return [same[turn] for turn in range(turns) for same in by_stage.values() if turn < len(same)]


@dataclass
class Tally:
    """Kills by kind and by the stage that was being computed; `idle` is a worker between two calls."""

    kills: Counter[tuple[Kind, str]] = field(default_factory=Counter)
    restarts: int = 0
    server_survived: int = 0

    @property
    def total(self) -> int:
        return sum(self.kills.values())

    def of(self, kind: Kind) -> int:
        return sum(count for (other, _), count in self.kills.items() if other is kind)

    def stages(self) -> list[str]:
        return sorted({stage for _, stage in self.kills})

    def table(self) -> str:
        """Stages down, kinds across."""
        lines = [f"{'stage':<22}" + "".join(f"{kind:>16}" for kind in Kind) + f"{'all':>8}"]
        for stage in self.stages():
            counts = [self.kills[kind, stage] for kind in Kind]
            lines.append(f"{stage:<22}" + "".join(f"{count:>16}" for count in counts) + f"{sum(counts):>8}")
        totals = [self.of(kind) for kind in Kind]
        lines.append(f"{'all':<22}" + "".join(f"{count:>16}" for count in totals) + f"{self.total:>8}")
        return "\n".join(lines)
