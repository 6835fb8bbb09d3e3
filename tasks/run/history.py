"""What was run in a store, and when: a record beside the journals, kept with tracking off and without Prefect too.

A run creates `.runs/ID.begun` when it begins and `.runs/ID.ended` when it ends, each whole or not at all. A run that
was killed leaves the first alone. Records enter no fingerprint, and no verdict depends on them: that is what journals
are for (`tasks.tracking.journal`). Of runs of releases that kept no records the journals tell.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from latent_core.errors import InfrastructureError, InputError
from latent_core.store import ArtifactRef, ArtifactStore
from tasks.environment import code_version
from tasks.tracking.ending import is_cancellation, reason
from tasks.tracking.journal import FOLDER, Journal, runs

logger = logging.getLogger("latent")
_BEGUN, _ENDED = ".begun", ".ended"
_LONGEST_FAILURE = 400  # signs of a reason
_LAST = re.compile(r"last(?:~(\d+))?")


class RunState(StrEnum):
    """What became of a run."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    KILLED = "killed"  # it left no word, and its process is gone
    UNKNOWN = "unknown"  # it left no word, and ran on another machine


@dataclass(frozen=True)
class PastRun:
    """A run: all attempts at it, of which there are several where Prefect tried a flow run again.

    `result` is what the flow returned last, such as its report. Times are seconds since the epoch; `ended` is None
    while it is not known. `failure` is why it failed, `link` its page in MLflow where a server has one.
    """

    id: str
    flow: str
    name: str
    config: Mapping[str, Any]
    started: float
    ended: float | None = None
    state: RunState = RunState.UNKNOWN
    failure: str = ""
    result: ArtifactRef | None = None
    computed: int | None = None
    stages: int | None = None
    commit: str = ""
    host: str = ""
    process: int = 0
    link: str = ""
    attempts: int = 1

    @property
    def short(self) -> str:
        """Its id as commands show and take it."""
        return self.id[:8]

    @property
    def seconds(self) -> float | None:
        return None if self.ended is None else self.ended - self.started

    def require_result(self, lacking: str = "has no result") -> ArtifactRef:
        """The result; raises InputError where there is none, whose message ends with what the run is `lacking`."""
        if self.result is None:
            raise InputError(f"run: {self.short} is {self.state} and {lacking}")
        return self.result


@dataclass(frozen=True)
class RunEnd:
    """How an attempt ended: what is written of it."""

    ended: float
    state: RunState
    failure: str = ""
    result: tuple[str, str] | None = None
    computed: int = 0
    stages: int = 0
    link: str = ""


class RunRecord:
    """The record of one attempt at a run, begun when it is made. Writing is best effort, as a journal's is."""

    def __init__(self, store: ArtifactStore, journal: Journal, name: str) -> None:
        self._store, self._id = store, journal.id
        begun = {
            "id": journal.run,
            "flow": journal.flow,
            "name": name or journal.flow,
            "config": journal.config,
            "started": journal.started,
            "commit": code_version(),
            "host": socket.gethostname(),
            "process": os.getpid(),
        }
        self._write(_BEGUN, begun)

    def end(
        self,
        failure: BaseException | None,
        result: ArtifactRef | None,
        *,
        computed: int = 0,
        stages: int = 0,
        link: str | None = None,
    ) -> None:
        """Say how it ended: `failure` is what it was left by, `result` what it had made by then."""
        address = None if result is None else (result.stage, result.fingerprint)
        end = RunEnd(time.time(), _state(failure), _reason(failure), address, computed, stages, link or "")
        self._write(_ENDED, asdict(end))

    def _write(self, ending: str, values: Mapping[str, Any]) -> None:
        try:
            self._store.create(f"{FOLDER}/{self._id}{ending}", json.dumps(values, indent=1).encode())
        except (OSError, InfrastructureError) as error:
            logger.warning("the run's record was not written, so `latent runs` will not tell of it: %s", error)


def _state(failure: BaseException | None) -> RunState:
    if failure is None:
        return RunState.FINISHED
    return RunState.CANCELLED if is_cancellation(failure) else RunState.FAILED


def _reason(failure: BaseException | None) -> str:
    if failure is None or is_cancellation(failure):
        return ""
    return " ".join(reason(failure).split())[:_LONGEST_FAILURE]


def past_runs(store: ArtifactStore) -> list[PastRun]:
    """Every run that left a record or a journal, newest first; a torn record is left out with a warning."""
    keys = {key.removeprefix(f"{FOLDER}/") for key, _ in store.files(FOLDER)}
    begun = _read(store, sorted(key for key in keys if key.endswith(_BEGUN)))
    ended = _read(store, sorted(key for key in keys if key.endswith(_ENDED)))
    attempts: dict[str, list[PastRun]] = {}
    for attempt, values in begun.items():
        try:
            past = PastRun(**values)
            if not isinstance(past.config, Mapping):
                raise ValueError("its config is no mapping")
            past = replace(past, started=float(past.started))
            if attempt in ended:
                past = _closed(past, ended[attempt])
        except (TypeError, ValueError) as error:
            logger.warning("%s/%s is no whole record of a run and was left out (%s)", FOLDER, attempt, error)
            continue
        attempts.setdefault(past.id, []).append(past)
    found = [_together(sorted(group, key=lambda past: past.started)) for group in attempts.values()]
    if {key.removesuffix(".json") for key in keys if key.endswith(".json")} - set(begun):
        found += [_of_journal(journal) for journal in runs(store) if journal.run not in attempts]
    return sorted(found, key=lambda past: past.started, reverse=True)


def last_config(store: ArtifactStore, flow: str) -> Mapping[str, Any] | None:
    """The parameters of the flow's newest run that left a record, None without one.

    Records are read from the newest file on until one is the flow's. Runs of which journals alone tell are not seen.
    """
    for key in store.newest_first(FOLDER):
        read = _read(store, [key.removeprefix(f"{FOLDER}/")]) if key.endswith(_BEGUN) else {}
        for begun in read.values():
            if begun.get("flow") == flow and isinstance(begun.get("config"), dict):
                config: dict[str, Any] = begun["config"]
                return config
    return None


def _read(store: ArtifactStore, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    found = {}
    for key, raw in store.read_many([f"{FOLDER}/{name}" for name in names]):
        try:
            values = None if raw is None else json.loads(raw)
        except ValueError as error:
            logger.warning("%s is no whole record of a run and was left out (%s)", key, error)
            continue
        if isinstance(values, dict):
            found[key.removeprefix(f"{FOLDER}/").rpartition(".")[0]] = values
    return found


def _closed(past: PastRun, values: Mapping[str, Any]) -> PastRun:
    end = RunEnd(**values)
    result = None if end.result is None else ArtifactRef(*end.result)
    return replace(
        past,
        ended=end.ended,
        state=RunState(end.state),
        failure=end.failure,
        result=result,
        computed=end.computed,
        stages=end.stages,
        link=end.link,
    )


def _together(attempts: Sequence[PastRun]) -> PastRun:
    first, last = attempts[0], attempts[-1]
    state = _unended(last) if last.ended is None else last.state
    return replace(last, started=first.started, state=state, attempts=len(attempts))


def _unended(past: PastRun) -> RunState:
    if past.host != socket.gethostname():
        return RunState.UNKNOWN
    import psutil

    try:
        lives = psutil.Process(past.process).create_time() <= past.started
    except psutil.NoSuchProcess:
        lives = False
    return RunState.RUNNING if lives else RunState.KILLED


_OF_JOURNALS = {"FINISHED": RunState.FINISHED, "FAILED": RunState.FAILED, "KILLED": RunState.CANCELLED}


def _of_journal(journal: Journal) -> PastRun:
    """A run of a release that kept no records. Of a finished one the last stage is what it was made for."""
    state = _OF_JOURNALS.get(journal.status, RunState.UNKNOWN)
    is_done = state is RunState.FINISHED and journal.stages
    return PastRun(
        journal.run,
        journal.flow,
        journal.flow,
        journal.config,
        journal.started,
        journal.ended,
        state,
        result=journal.stages[-1].ref if is_done else None,
        computed=sum(not entry.cached for entry in journal.stages),
        stages=len(journal.stages),
    )


def find_run(store: ArtifactStore, word: str, found: Sequence[PastRun] | None = None) -> PastRun:
    """The run with an id that begins with `word`; `last` is the newest one, `last~1` the one before.

    Raises InputError where none or several are meant.
    """
    known = past_runs(store) if found is None else found
    back = _LAST.fullmatch(word)
    if back is not None:
        place = int(back[1] or 0)
        matches = known[place : place + 1]
    else:
        matches = [past for past in known if past.id.startswith(word)]
    if len(matches) != 1:
        what = f"{len(matches)} runs begin with" if matches else "no run is"
        raise InputError(f"run: {what} {word!r} in {store.root}; `latent runs` lists them")
    return matches[0]


def named_result(store: ArtifactStore, word: str, lacking: str) -> ArtifactRef:
    """What a reader means by `stage/fingerprint`, or by a run, of which the result stands for it.

    Raises InputError where none or several are meant, and as `PastRun.require_result` does.
    """
    return store.find(word) if "/" in word else find_run(store, word).require_result(lacking)


def run_before(known: Sequence[PastRun], past: PastRun) -> PastRun | None:
    """The run of the same flow before `past`, among runs that are sorted newest first."""
    return next(iter(_before(known, past)), None)


def _before(known: Sequence[PastRun], past: PastRun) -> Iterator[PastRun]:
    return (other for other in known if other.flow == past.flow and other.started < past.started)
