"""What `latent runs` prints: what was run when, what was new about it, what became of it, and its accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from flows.cli.tables import console, date, print_json
from flows.launch.registry import flow_names, parameters_of
from latent_core.config.differences import Difference, differences, shown
from latent_core.store import ArtifactRef, ArtifactStore
from tasks.progress.durations import duration
from tasks.run.headlines import Result, headline, results_behind
from tasks.run.history import PastRun, RunState, past_runs, run_before

_MOST_FIELDS = 4  # of what is new, in a row of the table
_LONGEST_VALUE = 24
_ACCURACY = "accuracy, % (largest to smallest ratio)"
_STYLES = {RunState.FINISHED: "green", RunState.FAILED: "red", RunState.KILLED: "red", RunState.RUNNING: "blue"}


def list_runs(store: ArtifactStore, flow: str | None, limit: int, as_json: bool) -> None:
    """Print the newest runs of a store, newest first."""
    known = past_runs(store)
    found = [past for past in known if flow is None or past.flow == flow]
    newest = found[:limit]
    results = results_behind(store, {past.result for past in newest if past.result is not None})
    news = {past.id: new_in(past, run_before(known, past)) for past in newest}
    if as_json:
        print_json([_as_json(past, news[past.id], results.get(past.result, [])) for past in newest])  # type: ignore[arg-type]
        return
    if not newest:
        typer.echo("no run left a record in this store yet; `latent run` does")
        return
    table = Table("run", "when", "took", "flow", "differs from the flow's run before", "state", "result", _ACCURACY)
    for past in newest:
        own = results.get(past.result, []) if past.result is not None else []
        table.add_row(
            past.short,
            date(past.started),
            "" if past.seconds is None else duration(past.seconds),
            escape(past.flow),
            escape(_news(news[past.id])),
            _state(past),
            "" if past.result is None else f"{past.result.stage}/{past.result.fingerprint[:8]}",
            escape(headline(own).removesuffix(" %")),
        )
    console().print(table)
    if len(found) > limit:
        typer.echo(f"{len(found) - limit} older runs; --limit shows more")
    for past in newest:
        if past.failure:
            typer.echo(f"{past.short} failed: {past.failure}")
    typer.echo("why two differ: latent diff RUN RUN; the report: latent open RUN")


def new_in(past: PastRun, before: PastRun | None) -> list[Difference] | None:
    """The parameters that can change results in which a run differs from the one before; None where there is none."""
    if before is None:
        return None
    model = parameters_of(past.flow) if past.flow in flow_names() else None
    return [item for item in differences(before.config, past.config, model) if item.changes_results]


def _news(found: Sequence[Difference] | None) -> str:
    if found is None:
        return "(first)"
    if not found:
        return "nothing"
    lines = [f"{item.path} {_value(item.before)} → {_value(item.after)}" for item in found[:_MOST_FIELDS]]
    return "\n".join([*lines, *[f"and {len(found) - _MOST_FIELDS} more"] * (len(found) > _MOST_FIELDS)])


def _value(value: Any) -> str:
    return shown(value, _LONGEST_VALUE)


def _state(past: PastRun) -> str:
    style = _STYLES.get(past.state, "yellow")
    attempts = f", attempt {past.attempts}" if past.attempts > 1 else ""
    cached = ", all cached" if past.state is RunState.FINISHED and past.stages and past.computed == 0 else ""
    return f"[{style}]{past.state}[/{style}]{cached}{attempts}"


def _as_json(past: PastRun, news: Sequence[Difference] | None, results: Sequence[Result]) -> Mapping[str, Any]:
    values = asdict(past) | {"result": _address(past.result), "headline": headline(results)}
    values["differs"] = None if news is None else {item.path: [shown(item.before), shown(item.after)] for item in news}
    values["results"] = [
        {"name": one.name, one.metric: one.value, "low": one.low, "high": one.high, "artifact": _address(one.ref)}
        for one in results
    ]
    return values


def _address(ref: ArtifactRef | None) -> str | None:
    return None if ref is None else ref.key
