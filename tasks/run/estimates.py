"""What a planned stage will cost, from the manifests of earlier ones: time, tokens and bytes per row, measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from latent_core.store import ArtifactStore, DamagedError, Manifest

NEWEST = 50  # manifests of a stage that are looked at: rates follow the machine as it is now


@dataclass(frozen=True)
class Estimate:
    """`seconds` is of one worker; `tokens` is None for stages that generate none. `based_on` counts manifests."""

    seconds: float
    tokens: float | None
    bytes: float
    based_on: int


class Rates:
    """Measured costs of the stages of a store. Reads all manifests, once."""

    def __init__(self, store: ArtifactStore) -> None:
        self._by_stage: dict[str, list[Manifest]] = {}
        for ref in store.list():
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


def _scaled(values: Iterable[float], factors: Iterable[float]) -> float:
    return median(value * factor for value, factor in zip(values, factors, strict=True))
