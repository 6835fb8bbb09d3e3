"""What a planned stage will cost, from the manifests of earlier ones: time, tokens and bytes per row, measured."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from latent_core.store import ArtifactRef, ArtifactStore, DamagedError, Manifest
from tasks.progress.left import Cost, Costs, Spans

READ_AT_MOST = 200  # manifests of a stage, where a run that computes waits for its estimate
NEWEST = 50  # manifests of a stage that are looked at: rates follow the machine as it is now


@dataclass(frozen=True)
class Estimate:
    """`seconds` is of one worker; `tokens` is None for stages that generate none. `based_on` counts manifests."""

    seconds: float
    tokens: float | None
    bytes: float
    based_on: int


class Rates:
    """Measured costs of the stages of a store. Reads all manifests, once.

    With `stages` it reads theirs alone, of each the first `READ_AT_MOST` as they are listed, which is by hash.
    """

    def __init__(self, store: ArtifactStore, stages: Sequence[str] | None = None) -> None:
        self._by_stage: dict[str, list[Manifest]] = {}
        refs = store.list() if stages is None else _some_of(store, stages)
        for ref in refs:
            try:
                manifest = store.manifest(ref)
            except (DamagedError, FileNotFoundError):
                continue  # what cannot be read says nothing about rates; the plan itself shows it as a miss
            self._by_stage.setdefault(ref.stage, []).append(manifest)
        for manifests in self._by_stage.values():
            manifests.sort(key=lambda item: float(item.record["started"]), reverse=True)
            del manifests[NEWEST:]

    def estimate(self, stage: str, rows: int | None) -> Estimate | None:
        """Per row where the number of rows is known, else the median of earlier results; None without any."""
        known = self._by_stage.get(stage, [])
        if not known:
            return None
        scalable = rows is not None and all(item.content.rows for item in known)
        factors = [rows / item.content.rows if scalable and rows is not None else 1.0 for item in known]
        tokens = [
            float(item.content.metrics["tokens"]) * factor
            for item, factor in zip(known, factors, strict=True)
            if isinstance(item.content.metrics.get("tokens"), int)
        ]
        return Estimate(
            seconds=_scaled((float(item.record["seconds"]) for item in known), factors),
            tokens=median(tokens) if tokens else None,
            bytes=_scaled((float(sum(file.bytes for file in item.content.files)) for item in known), factors),
            based_on=len(known),
        )

    def at_once(self, stage: str) -> float:
        """How many calls of the stage were computed at a time: their seconds over the time that they cover together.

        Calls that one engine generated in joined passes took the same seconds all of them.
        """
        known = self._by_stage.get(stage, [])
        spans = Spans()
        times = [(float(item.record["started"]), float(item.record["seconds"])) for item in known]
        for started, seconds in sorted(times, key=sum):
            spans.add(started, started + seconds)
        return max(sum(seconds for _, seconds in times) / spans.seconds, 1.0) if spans.seconds > 0 else 1.0


def costs_of(store: ArtifactStore, stages: Sequence[str]) -> Costs:
    """What calls of these stages took in a store, for a run's progress."""
    rates = Rates(store, stages)

    @functools.cache
    def cost(stage: str, rows: int | None) -> Cost | None:
        estimate = rates.estimate(stage, rows)
        return None if estimate is None else Cost(estimate.seconds, rates.at_once(stage))

    return cost


def _some_of(store: ArtifactStore, stages: Sequence[str]) -> Iterator[ArtifactRef]:
    for stage in stages:
        yield from itertools.islice(store.list(stage), READ_AT_MOST)


def _scaled(values: Iterable[float], factors: Iterable[float]) -> float:
    return median(value * factor for value, factor in zip(values, factors, strict=True))
