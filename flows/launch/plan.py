"""Planning a flow from the command line: what the store has of it, and about what the rest will cost."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from flows.launch.parameters import load
from flows.launch.registry import FlowEntry, find_flow
from latent_core.config.base import StageConfig
from latent_core.store import ArtifactRef
from tasks.progress.durations import estimated
from tasks.run.estimates import Estimate, Rates
from tasks.run.plan import Plan, open_plan

logger = logging.getLogger("latent")
console = Console()


def plan(entry: FlowEntry, config: StageConfig, force: Sequence[str] = ()) -> tuple[Plan, ArtifactRef]:
    """Walk through a flow without computing anything; returns its plan, and the flow's result."""
    planned = open_plan(entry.name, config, force=force)
    result = entry.compose(config, planned)
    planned.check_force()
    return planned, result


def show_plan(flow: str, file: Path | None, overrides: Sequence[str], force: Sequence[str]) -> None:
    entry = find_flow(flow)
    planned, _ = plan(entry, load(entry.config, file, overrides), force)
    rates = Rates(planned.store)
    table = Table("stage", "fingerprint", "state", "rows", "about")
    missing = planned.missing()
    estimates = {line.ref: rates.estimate(line.ref.stage, line.rows) for line in missing}
    for line in planned.lines:
        rows = "" if line.rows is None else f"{line.rows:,}"
        state = "hit" if line.hit else "[bold]miss[/bold]"
        table.add_row(line.title, line.ref.fingerprint[:12], state, rows, _about(estimates.get(line.ref)))
    console.print(table)
    for note in planned.notes:
        console.print(note, soft_wrap=True)
    log_warnings(planned)
    console.print(
        f"{len(planned.lines)} stages: {len(planned.lines) - len(missing)} in the store, {len(missing)} to compute"
    )
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


def log_warnings(planned: Plan) -> None:
    """Log what a plan that is not executed warns of; an execution would log the same."""
    for line in planned.warnings:
        logger.warning("%s", line)


def _about(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    tokens = f", {estimate.tokens:,.0f} tokens" if estimate.tokens else ""
    return f"{estimated(estimate.seconds)}{tokens}, {estimate.bytes / 1e9:.2g} GB"
