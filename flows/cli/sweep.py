"""What `latent sweep` prints and writes: the plan of all points, and one table of what each came to."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from flows.cli.tables import console
from flows.launch.sweep import PointResult, SweepPlan, plan_sweep, run_sweep
from latent_core.config.differences import shown
from latent_core.errors import InputError
from tasks.run.headlines import headline

_WRITERS = (".csv", ".json")
_COLUMNS = ("condition", "metric", "value", "low", "high", "tokens", "artifact", "report", "failure")


def sweep(
    flow: str,
    config: Path | None,
    overrides: Sequence[str],
    over: Sequence[str],
    out: Path | None,
    dry_run: bool,
) -> None:
    """Plan a sweep, run it and print its table; exit code 1 where a point failed."""
    if out is not None and (out.suffix not in _WRITERS or not out.absolute().parent.is_dir()):
        raise InputError(f"--out: {out} must be a .csv or .json file in a folder that exists")
    planned = plan_sweep(flow, config, overrides, over)
    show_plan(planned)
    if dry_run:
        return
    done = run_sweep(planned, typer.echo)
    show_results(done)
    if out is not None:
        write(out, done)
        typer.echo(f"Results: {out}")
    failed = [item.point.name for item in done if item.failure]
    if failed:
        typer.secho(
            f"{len(failed)} of {len(done)} points failed: {'; '.join(failed)}; repeat the command to try them again",
            fg="red",
            err=True,
        )
        raise typer.Exit(1)


def show_plan(planned: SweepPlan) -> None:
    """Print every point with its stages, and the sum over all."""
    table = Table("point", *planned.points[0].point.values, "stages", "in the store", "to compute")
    for number, item in enumerate(planned.points, start=1):
        stages = len(item.planned.lines)
        there = stages - len(item.planned.missing())
        values = [escape(shown(value)) for value in item.point.values.values()]
        table.add_row(str(number), *values, str(stages), str(there), str(item.new))
    console().print(table)
    typer.echo(
        f"{len(planned.points)} points, {planned.stages} stages ({planned.shared} shared by several points, counted "
        f"once): {planned.stages - planned.missing} in the store, {planned.missing} to compute"
    )


def show_results(done: Sequence[PointResult]) -> None:
    """Print points and what their reports stand on, in one table."""
    table = Table(*done[0].point.values, "accuracy, %" if _is_accuracy(done) else "return", "report")
    for item in done:
        values = [escape(shown(value)) for value in item.point.values.values()]
        result = headline(item.results).removesuffix(" %")  # of a point with a verdict too, which has its report
        failure = f"failed: {item.failure}" if item.failure else ""
        told = "; ".join(filter(None, (result, failure)))
        table.add_row(*values, escape(told), "" if item.report is None else str(item.report))
    console().print(table)


def _is_accuracy(done: Sequence[PointResult]) -> bool:
    return all(result.metric == "accuracy" for item in done for result in item.results)


def write(out: Path, done: Sequence[PointResult]) -> None:
    """All results, a row for each point and condition; a point that failed has one row that says why."""
    rows = list(_rows(done))
    if out.suffix == ".json":
        text = json.dumps(rows, indent=1, ensure_ascii=False)
    else:
        written = io.StringIO(newline="")
        writer = csv.DictWriter(written, [*done[0].point.values, *_COLUMNS], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = written.getvalue()
    out.write_text(text, encoding="utf-8")


def _rows(done: Sequence[PointResult]) -> Iterator[dict[str, Any]]:
    for item in done:
        start = dict(item.point.values) | dict.fromkeys(_COLUMNS)
        start |= {"report": item.report.key if item.report else None, "failure": item.failure}
        if not item.results:
            yield start
        for one in item.results:
            numbers = {"value": one.value, "low": one.low, "high": one.high, "tokens": one.tokens}
            yield start | numbers | {"condition": one.name, "metric": one.metric, "artifact": one.ref.key}
