"""What commands that run a flow have in common: their options, and running or only planning it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="YAML file with the flow's parameters")]
Overrides = Annotated[list[str], typer.Option("--set", help="section.field=value; may be repeated")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan; compute and write nothing")]
Force = Annotated[list[str], typer.Option(help="Compute this stage again although it is in the store")]


def run_or_plan(flow: str, config: Path | None, overrides: Sequence[str], force: Sequence[str], dry_run: bool) -> None:
    """Run a flow by its name, or with `dry_run` show what would be computed."""
    from flows.launch.execute import execute
    from flows.launch.plan import show_plan

    if dry_run:
        show_plan(flow, config, overrides, force)
    else:
        execute(flow, config, overrides, force)
