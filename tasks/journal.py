"""What a run leaves in the store about itself, so that its MLflow run can be rebuilt when tracking was down."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from latent_core.errors import InfrastructureError
from latent_core.store import ArtifactStore

logger = logging.getLogger("latent")
SEAL = "seal"
FOLDER = ".runs"  # no stage's name starts with a dot, so this is never taken for an artifact


@dataclass(frozen=True)
class JournalEntry:
    """A stage of the run; `cached` says that the store had it already."""

    stage: str
    fingerprint: str
    cached: bool


@dataclass(frozen=True)
class JournalModel:
    """A trained model that the run made a version of `name` in the model registry."""

    name: str
    variant: str
    stage: str
    fingerprint: str


@dataclass
class Journal:
    """One execution of a flow; a retried flow run has one for each time. Times are seconds since the epoch."""

    id: str
    flow: str
    flow_run_id: str
    config: dict[str, Any]
    started: float
    ended: float | None = None
    status: str = "RUNNING"
    tags: dict[str, str] = field(default_factory=dict)
    stages: list[JournalEntry] = field(default_factory=list)
    models: list[JournalModel] = field(default_factory=list)

    def close(self, status: str) -> None:
        """`status` is FINISHED or FAILED."""
        self.status, self.ended = status, time.time()

    def write(self, store: ArtifactStore) -> None:
        """Best effort: a store that cannot be written costs a warning, not the finished run."""
        try:
            with store.open_for_writing(f"{FOLDER}/{self.id}.json") as handle:
                handle.write(_sealed(asdict(self)))
        except (OSError, InfrastructureError) as error:
            logger.warning("the run's journal was not written, so `latent track sync` cannot rebuild it: %s", error)


def journals(store: ArtifactStore) -> Iterator[Journal]:
    """The journals of all finished runs, oldest first; a torn one is left out with a warning."""
    found, torn = read_journals(store)
    for key, reason in torn.items():
        logger.warning("%s is no whole journal and was left out (%s)", key, reason)
    yield from found


def read_journals(store: ArtifactStore) -> tuple[list[Journal], dict[str, str]]:
    """The journals of all finished runs, oldest first, and of what is no whole journal why, by key."""
    found, torn = [], {}
    for key, raw in store.read_many([key for key, _ in store.files(FOLDER)]):
        if raw is None:
            continue  # removed in this moment
        try:
            values = _unsealed(raw)
            stages = [JournalEntry(**entry) for entry in values.pop("stages")]
            models = [JournalModel(**entry) for entry in values.pop("models", [])]  # older journals name none
            found.append(Journal(**values, stages=stages, models=models))
        except (ValueError, TypeError, KeyError) as error:
            torn[key] = str(error)
    return sorted(found, key=lambda journal: journal.started), torn


def _sealed(values: dict[str, Any]) -> bytes:
    """As JSON with a digest of itself: a journal says what was accepted, so that a changed one must not pass."""
    return json.dumps(values | {SEAL: _digest(values)}, indent=1).encode()


def _unsealed(raw: bytes) -> dict[str, Any]:
    """What was sealed; raises ValueError where it is something else by now. Older journals have no seal."""
    values: dict[str, Any] = json.loads(raw)
    if SEAL in values and values.pop(SEAL) != _digest(values):
        raise ValueError("it was altered after it was written: its seal does not match")
    return values


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
