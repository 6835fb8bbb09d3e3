"""Executing a flow from the command line."""

from __future__ import annotations

import logging
import os
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from flows.launch.ending import ENDING
from flows.launch.names import newest_config, run_name
from flows.launch.parameters import load
from flows.launch.plan import log_warnings, plan
from flows.launch.registry import FlowEntry, find_flow
from flows.parts.publish import show_where_to_look
from latent_core.errors import RegressionFound
from latent_core.store import Artifact, ArtifactRef
from tasks.progress.terminal import ProgressBars, shown_by
from tasks.run.history import RunRecord
from tasks.run.plan import Plan
from tasks.tracking.journal import Journal
from tasks.tracking.tracker import gaps_told

# Set before Prefect is imported: a quiet client.
_ENVIRONMENT = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "latent",  # what a run says of damage, leases and tracking belongs in its log
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "DO_NOT_TRACK": "true",
}
console = Console()


def execute(flow: str, file: Path | None, overrides: Sequence[str], force: Sequence[str]) -> Artifact:
    """Run what is missing, show and return the result; when nothing is, no server is started.

    Raises the verdict on the result, such as RegressionFound, whether anything was computed or not.
    """
    prepare()
    entry = find_flow(flow)
    config = load(entry.config, file, overrides)
    done = run_missing(entry, config, force)
    entry.show(done.result)
    show_where_to_look(done.planned.tracking, done.gaps)
    if done.verdict is not None:
        raise done.verdict
    return done.result


def prepare() -> None:
    """Settings of this process that a run wants, before Prefect is imported: a quiet client, and a log."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("latent").setLevel(logging.INFO)


@dataclass(frozen=True)
class Done:
    """A flow whose result is there: its plan as it was before, what MLflow lacks, and a verdict on the result."""

    planned: Plan
    result: Artifact
    gaps: Sequence[str] = ()
    verdict: RegressionFound | None = None


def run_missing(entry: FlowEntry, config: Any, force: Sequence[str]) -> Done:
    """Run what is missing of a flow, if anything is; raises what the flow fails with, other than a verdict."""
    started = time.time()
    planned, result = plan(entry, config, force)
    stages, missing = len(planned.lines), len(planned.missing())
    if missing:
        console.print(f"{stages - missing} of {stages} stages are in the store; running the rest")
        return _run(entry, config, force, planned, result)
    artifact = planned.store.require(result)
    verdict = _verdict_of(lambda: entry.conclude(config, planned, artifact))
    if verdict is None and planned.unrecorded:
        console.print(f"all {stages} stages are in the store: running the flow for its record")
        return _run(entry, config, force, planned, result)
    if verdict is None:
        console.print(f"all {stages} stages are in the store: nothing to compute")
        for note in planned.notes:
            console.print(note, soft_wrap=True)
        log_warnings(planned)
    _record(entry, config, planned, artifact, started, verdict)
    return Done(planned, artifact, verdict=verdict)


def _run(entry: FlowEntry, config: Any, force: Sequence[str], planned: Plan, result: ArtifactRef) -> Done:
    with gaps_told() as gaps:
        verdict = _verdict_of(lambda: execute_entry(entry, config, force))
    return Done(planned, planned.store.require(result), gaps, verdict)


def _verdict_of(step: Callable[[], None]) -> RegressionFound | None:
    """The verdict that `step` raises, if any: the result is there all the same, and its table says more."""
    try:
        step()
    except RegressionFound as found:
        return found
    return None


def _record(
    entry: FlowEntry,
    config: Any,
    planned: Plan,
    result: Artifact,
    started: float,
    verdict: RegressionFound | None,
) -> None:
    """What `latent runs` tells of a run of which the store had everything, so that no flow was run."""
    name = run_name(entry.name, config, newest_config(entry.name, config))
    journal = Journal(uuid.uuid4().hex, entry.name, "", config.model_dump(mode="json"), started)
    RunRecord(planned.store, journal, name).end(verdict, result.ref, stages=len(planned.lines))


def execute_entry(entry: FlowEntry, config: Any, force: Sequence[str]) -> None:
    """Run the flow with its progress; raises InfrastructureError when its Prefect server is gone for good."""
    from httpx import TransportError

    from flows.launch.server import ensure_server, lost
    from tasks.workers.processes import make_work_dir

    server = None
    ENDING.note = "what was finished is in the store: the same command goes on from there"
    try:
        make_work_dir(Path(config.runtime.work_dir))  # before the server, whose log is written there first
        flow = entry.flow()
        server = ensure_server(Path(config.runtime.work_dir) / "logs")
        if sys.stderr.isatty():
            with ProgressBars() as bars, shown_by(bars):
                flow(config, list(force))
        else:
            flow(config, list(force))
    except TransportError as error:
        raise lost(server, error) from error
