"""Planning and executing a flow from the command line."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.launch.ending import ENDING
from flows.launch.parameters import load
from flows.launch.registry import FlowEntry, find_flow
from latent_core.config.base import StageConfig
from latent_core.errors import RegressionFound
from latent_core.store import Artifact, ArtifactRef
from tasks.progress.terminal import ProgressBars, shown_by
from tasks.run.estimates import Estimate, Rates
from tasks.run.execution import Run
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


def plan(entry: FlowEntry, config: StageConfig, force: Sequence[str] = ()) -> tuple[Run, ArtifactRef]:
    """Walk through a flow without computing anything; returns the run with its plan, and the flow's result."""
    with entry.open_run(config, planning=True, force=force) as run:
        result = entry.compose(config, run)
    run.check_force()
    return run, result


def show_plan(flow: str, file: Path | None, overrides: Sequence[str], force: Sequence[str]) -> None:
    entry = find_flow(flow)
    run, _ = plan(entry, load(entry.config, file, overrides), force)
    rates = Rates(run.store)
    table = Table("stage", "fingerprint", "state", "rows", "about")
    missing = [line for line in run.plan if not line.hit]
    estimates = {line.ref: rates.estimate(line.ref.stage, line.rows) for line in missing}
    for line in run.plan:
        rows = "" if line.rows is None else f"{line.rows:,}"
        state = "hit" if line.hit else "[bold]miss[/bold]"
        table.add_row(line.title, line.ref.fingerprint[:12], state, rows, _about(estimates.get(line.ref)))
    console.print(table)
    for note in run.notes:
        console.print(note, soft_wrap=True)
    console.print(f"{len(run.plan)} stages: {len(run.plan) - len(missing)} in the store, {len(missing)} to compute")
    known = [estimate for estimate in estimates.values() if estimate is not None]
    if known:
        total = Estimate(
            sum(item.seconds for item in known),
            sum(item.tokens or 0.0 for item in known) or None,
            sum(item.bytes for item in known),
            sum(item.based_on for item in known),
        )
        unknown = len(estimates) - len(known)
        rest = f"; {unknown} stages have no earlier result to go by" if unknown else ""
        console.print(f"about {_about(total)}, as one worker computed earlier ones in this store{rest}")


def execute(flow: str, file: Path | None, overrides: Sequence[str], force: Sequence[str]) -> Artifact:
    """Run what is missing, show and return the result; when nothing is, no server is started.

    Raises the verdict on the result, such as RegressionFound, whether anything was computed or not.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("latent").setLevel(logging.INFO)
    entry = find_flow(flow)
    config = load(entry.config, file, overrides)
    planned, result = plan(entry, config, force)
    missing = [line for line in planned.plan if not line.hit]
    verdict: RegressionFound | None = None
    gaps: list[str] = []
    try:
        if missing:
            console.print(
                f"{len(planned.plan) - len(missing)} of {len(planned.plan)} stages are in the store; running the rest"
            )
            with gaps_told() as gaps:
                execute_entry(entry, config, force)
        else:
            entry.conclude(config, planned, planned.store.require(result))
            if planned.unrecorded:
                console.print(f"all {len(planned.plan)} stages are in the store: running the flow for its record")
                with gaps_told() as gaps:
                    execute_entry(entry, config, force)
            else:
                console.print(f"all {len(planned.plan)} stages are in the store: nothing to compute")
                for note in planned.notes:
                    console.print(note, soft_wrap=True)
    except RegressionFound as found:  # the table says more than the verdict alone
        verdict = found
    artifact = planned.store.require(result)
    entry.show(artifact)
    from flows.parts.publish import show_where_to_look  # imports Prefect, see _ENVIRONMENT

    show_where_to_look(planned.tracking, gaps)
    if verdict is not None:
        raise verdict
    return artifact


def execute_entry(entry: FlowEntry, config: Any, force: Sequence[str]) -> None:
    """Run the flow with its progress; raises InfrastructureError when its Prefect server is gone for good."""
    from httpx import TransportError

    from flows.launch.server import ensure_server, lost
    from tasks.workers.processes import make_work_dir

    server = None
    ENDING.note = "what was finished is in the store: the same command goes on from there"
    try:
        make_work_dir(Path(config.runtime.work_dir))  # before the server, whose log is written there first
        server = ensure_server(Path(config.runtime.work_dir) / "logs")
        if sys.stderr.isatty():
            with ProgressBars() as bars, shown_by(bars):
                entry.execute(config, list(force))
        else:
            entry.execute(config, list(force))
    except TransportError as error:
        raise lost(server, error) from error


def _about(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    tokens = f", {estimate.tokens:,.0f} tokens" if estimate.tokens else ""
    hours, rest = divmod(round(estimate.seconds), 3600)
    duration = (
        f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s" if rest > 90 else f"{rest} s"
    )
    return f"{duration}{tokens}, {estimate.bytes / 1e9:.2g} GB"
