"""What a run leaves in the store about itself, so that its MLflow run can be rebuilt when tracking was down."""

from __future__ import annotations

import hashlib
import json
import logging
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from latent_core.errors import InfrastructureError
from latent_core.store import ArtifactRef, ArtifactStore, DamagedError

logger = logging.getLogger("latent")
SEAL = "seal"
FOLDER = ".runs"  # no stage's name starts with a dot, so neither is ever taken for an artifact
CHAMPIONS = ".champions"


@dataclass(frozen=True)
class JournalEntry:
    """A stage of the run; `cached` says that the store had it already, `label` tells it from others of its stage."""

    stage: str
    fingerprint: str
    cached: bool
    label: str = ""  # older journals have none

    @property
    def ref(self) -> ArtifactRef:
        return ArtifactRef(self.stage, self.fingerprint)


@dataclass(frozen=True)
class JournalModel:
    """A trained model that the run made a version of `name` in the model registry."""

    name: str
    variant: str
    stage: str
    fingerprint: str


@dataclass
class Journal:
    """One attempt at a flow's run: a flow run that is retried leaves several, each under an id of its own.

    Attempts of one run share `flow_run_id`, which is empty outside Prefect. Times are seconds since the epoch. `code`
    is the version of this code, `command` the program that started the run, `reason` why it failed or was cancelled.
    """

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
    user: str = ""  # as the three below, empty in older journals
    code: str = ""
    command: str = ""
    reason: str = ""

    @property
    def run(self) -> str:
        """What all attempts at the same run have in common."""
        return self.flow_run_id or self.id

    def close(self, status: str, reason: str = "") -> None:
        """`status` is FINISHED, FAILED or KILLED, which is MLflow's word for cancelled."""
        self.status, self.reason, self.ended = status, reason, time.time()

    def write(self, store: ArtifactStore) -> None:
        """Best effort: a store that cannot be written costs a warning, not the finished run."""
        try:
            store.create(f"{FOLDER}/{self.id}.json", _sealed(asdict(self)))  # whole or not at all
        except (OSError, InfrastructureError) as error:
            logger.warning("the run's journal was not written, so `latent track sync` cannot rebuild it: %s", error)


@dataclass(frozen=True)
class Promotion:
    """A trained model that somebody made the champion of `name`, and when, in seconds since the epoch."""

    name: str
    stage: str
    fingerprint: str
    promoted: float

    def write(self, store: ArtifactStore) -> None:
        """Best effort, as a journal is."""
        try:
            store.create(f"{CHAMPIONS}/{uuid.uuid4().hex}.json", _sealed(asdict(self)))
        except (OSError, InfrastructureError) as error:
            logger.warning("the new champion was not written to the store, so MLflow alone knows it: %s", error)


def journals(store: ArtifactStore) -> Iterator[Journal]:
    """The journals of all finished attempts, oldest first; a torn one is left out with a warning."""
    found, torn = read_journals(store)
    for key, reason in torn.items():
        logger.warning("%s is no whole journal and was left out (%s)", key, reason)
    yield from found


def read_journals(store: ArtifactStore) -> tuple[list[Journal], dict[str, str]]:
    """The journals of all finished attempts, oldest first, and of what is no whole journal why, by key."""
    found, torn = [], {}
    for key, raw in _files(store, FOLDER):
        try:
            values = _unsealed(raw)
            stages = [JournalEntry(**entry) for entry in values.pop("stages")]
            models = [JournalModel(**entry) for entry in values.pop("models", [])]  # older journals name none
            found.append(Journal(**values, stages=stages, models=models))
        except (ValueError, TypeError, KeyError) as error:
            torn[key] = str(error)
    return sorted(found, key=lambda journal: journal.started), torn


def last_accepted(store: ArtifactStore, flow: str, tags: Mapping[str, str]) -> Journal | None:
    """The newest run of a flow in this store that had these tags and did not fail; None when there is none.

    Raises DamagedError where a journal cannot be read, which may have been it.
    """
    written, torn = read_journals(store)
    for key, reason in torn.items():
        raise DamagedError(
            f"{store.root}/{key} is damaged ({reason}), so what was accepted last is not known; delete it, "
            "and the newest of the others counts"
        )
    accepted = [journal for journal in written if journal.flow == flow and journal.status == "FINISHED"]
    return next((journal for journal in reversed(accepted) if tags.items() <= journal.tags.items()), None)


def runs(store: ArtifactStore) -> Iterator[Journal]:
    """One journal for each run, oldest first: its attempts taken together.

    It begins as the first attempt did and ends as the last one did; a stage is what the first attempt that reached it
    made of it, a tag what the last one said.
    """
    attempts: dict[str, list[Journal]] = {}
    for journal in journals(store):
        attempts.setdefault(journal.run, []).append(journal)
    yield from (_together(group) for group in attempts.values())


def _together(attempts: Sequence[Journal]) -> Journal:
    first, last = attempts[0], attempts[-1]
    stages: dict[tuple[str, str], JournalEntry] = {}
    for entry in (entry for attempt in attempts for entry in attempt.stages):
        stages.setdefault((entry.stage, entry.fingerprint), entry)
    tags: dict[str, str] = {}
    for attempt in attempts:
        tags |= attempt.tags
    models = [model for attempt in attempts for model in attempt.models]
    return Journal(
        first.run,
        first.flow,
        first.flow_run_id,
        last.config,
        first.started,
        last.ended,
        last.status,
        tags,
        list(stages.values()),
        models,
        last.user,
        last.code,
        last.command,
        last.reason,
    )


def promotions(store: ArtifactStore) -> Iterator[Promotion]:
    """Every champion that was made by hand, oldest first; a torn file is left out with a warning."""
    found = []
    for key, raw in _files(store, CHAMPIONS):
        try:
            found.append(Promotion(**_unsealed(raw)))
        except (ValueError, TypeError) as error:
            logger.warning("%s names no whole promotion and was left out (%s)", key, error)
    yield from sorted(found, key=lambda promotion: promotion.promoted)


def _files(store: ArtifactStore, folder: str) -> Iterator[tuple[str, bytes]]:
    written = [key for key, _ in store.files(folder) if key.endswith(".json")]  # others are still being written
    for key, raw in store.read_many(written):
        if raw is not None:  # else removed in this moment
            yield key, raw


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
