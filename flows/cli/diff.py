"""What `latent diff` prints: why one run, artifact or parameter file is not another, down to the first cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError
from rich.markup import escape
from rich.table import Table

from flows.cli.tables import console, date, print_json
from flows.launch.parameters import read
from flows.launch.registry import flow_names, parameters_of
from latent_core.config.differences import ABSENT, Difference, differences, shown
from latent_core.errors import InputError
from latent_core.store import ArtifactRef, ArtifactStore
from latent_core.store.causes import Cause, Diagnosis, diagnose
from tasks.run.headlines import Result, results_behind
from tasks.run.history import find_run

_MOST_LABELS = 4
_MOST_FIELDS = 12  # of one cause or of the parameters, on one screen


@dataclass(frozen=True)
class Side:
    """One of the two things that are compared: its parameters, its artifact, or both."""

    title: str
    config: Mapping[str, Any] | None = None
    flow: str | None = None
    ref: ArtifactRef | None = None
    commit: str = ""


def show_difference(before: str, after: str, store: ArtifactStore, flow: str | None, as_json: bool) -> None:
    """Print the difference. Raises InputError for what cannot be found, or cannot be compared with the other."""
    if flow is not None and flow not in flow_names():
        raise InputError(f"--flow: unknown flow {flow!r}; choose one of {', '.join(flow_names())}")
    one, other = (_side(word, store, flow) for word in (before, after))
    if (one.config is None or other.config is None) and (one.ref is None or other.ref is None):
        raise InputError(
            f"{before} and {after} have nothing in common to compare; name two runs, two artifacts, or two files"
        )
    fields = None
    if one.config is not None and other.config is not None:
        fields = differences(one.config, other.config, _model(one, other))
    found = None if one.ref is None or other.ref is None else _diagnosed(store, one.ref, other.ref)
    results = [] if found is None or found.are_one else _changed_results(store, found)
    if as_json:
        print_json(_as_json(one, other, fields, found, results))
        return
    typer.echo(f"A  {one.title}\nB  {other.title}")
    if fields is not None:
        _print_fields(fields)
    if found is not None:
        _print_causes(found)
        _print_results(results)
    if one.commit and other.commit and one.commit != other.commit:
        typer.echo(f"code: commit {one.commit} → {other.commit}; what changes results raises a stage's version")


def _side(word: str, store: ArtifactStore, flow: str | None) -> Side:
    """A parameter file, `stage/fingerprint`, or a run, of which the result stands for it."""
    path = Path(word)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return Side(f"file {word}", read(path, "file"), flow)
    if "/" in word:
        ref = store.find(word)
        record = store.manifest(ref).record
        return Side(
            f"{ref}, made {date(record.get('started'))}",
            ref=ref,
            commit=str(record.get("environment", {}).get("commit", "")),
        )
    past = find_run(store, word)
    result = "without a result" if past.result is None else str(past.result)
    title = f"run {past.short} of {date(past.started)}, {past.state}: {past.name}, {result}"
    return Side(title, past.config, past.flow, past.result, past.commit)


def _model(one: Side, other: Side) -> Any:
    flow = one.flow or other.flow
    if other.flow is not None and flow != other.flow:
        return None  # runs of two flows have no defaults in common
    if flow is None and one.config is not None and other.config is not None:
        fitting = [name for name in flow_names() if _fits(name, one.config) and _fits(name, other.config)]
        flow = fitting[0] if len(fitting) == 1 else None
    return parameters_of(flow) if flow in flow_names() else None  # a run's may be of another release


def _fits(flow: str, config: Mapping[str, Any]) -> bool:
    try:
        parameters_of(flow).model_validate(config)
    except ValidationError:
        return False
    return True


def _diagnosed(store: ArtifactStore, before: ArtifactRef, after: ArtifactRef) -> Diagnosis:
    try:
        return diagnose(store, before, after)
    except FileNotFoundError as error:
        raise InputError(f"artifact: {error.filename or error} is not in {store.root} any more") from error


def _print_fields(fields: Sequence[Difference]) -> None:
    telling = [item for item in fields if item.changes_results]
    if not telling:
        typer.echo("parameters: none differs that can change a result")
    else:
        table = Table("parameter", "A", "B", title="parameters that can change results", title_justify="left")
        for item in telling[:_MOST_FIELDS]:
            table.add_row(escape(item.path), escape(shown(item.before)), escape(shown(item.after)))
        console().print(table)
        _print_rest(len(telling))
    rest = [item.path for item in fields if not item.changes_results]
    if rest:
        typer.echo(f"of no consequence: {', '.join(rest[:_MOST_FIELDS])}")


def _print_rest(count: int) -> None:
    if count > _MOST_FIELDS:
        typer.echo(f"and {count - _MOST_FIELDS} more; --json has all")


def _print_causes(found: Diagnosis) -> None:
    if found.are_one:
        typer.echo(f"result: both are {found.before}, so every number is the same")
        return
    for cause in found.causes:
        typer.echo(_cause_line(cause))
        for item in cause.changes[:_MOST_FIELDS]:
            typer.echo(f"    {item.path}: {shown(item.before)} → {shown(item.after)}")
        _print_rest(len(cause.changes))
    if found.consequences:
        counts = [stage if count == 1 else f"{count} {stage}" for stage, count in found.consequences.items()]
        typer.echo(f"follows from that: {', '.join(counts)}")
    for reason in found.unknown:
        typer.echo(f"not known: {reason}")


def _cause_line(cause: Cause) -> str:
    labels = ", ".join(cause.labels[:_MOST_LABELS]) + (", …" if len(cause.labels) > _MOST_LABELS else "")
    many = f", {len(cause.pairs)} artifacts" if len(cause.pairs) > 1 else ""
    start = "first cause" if cause.is_first else "differs besides"
    before, after = cause.pairs[0]
    return f"{start}: stage {cause.stage}{f' ({labels})' if labels else ''}{many}, {before} → {after}"


@dataclass(frozen=True)
class ChangedResult:
    """One condition on both sides, None where a side does not have it."""

    name: str
    before: Result | None
    after: Result | None


def _changed_results(store: ArtifactStore, found: Diagnosis) -> list[ChangedResult]:
    read = results_behind(store, {found.before, found.after})
    one, other = ({result.name: result for result in read.get(ref, [])} for ref in (found.before, found.after))
    both = [ChangedResult(name, one.get(name), other.get(name)) for name in dict.fromkeys([*one, *other])]
    return [item for item in both if (item.before and item.before.ref) != (item.after and item.after.ref)]


def _print_results(results: Sequence[ChangedResult]) -> None:
    if not results:
        return
    table = Table("condition", "A", "B", "B − A", title="results", title_justify="left")
    for item in results:
        one, other = item.before, item.after
        change = ""
        if one is not None and other is not None:
            scale = 100 if one.metric == "accuracy" else 1
            change = f"{scale * (other.value - one.value):+.1f}"
        table.add_row(escape(item.name), one.words() if one else "-", other.words() if other else "-", change)
    console().print(table)
    typer.echo("whether a change is beyond noise: latent compare A B")


def _as_json(
    one: Side,
    other: Side,
    fields: Sequence[Difference] | None,
    found: Diagnosis | None,
    results: Sequence[ChangedResult],
) -> dict[str, Any]:
    values: dict[str, Any] = {"before": one.title, "after": other.title}
    if fields is not None:
        values["parameters"] = [_change(item) | {"changes_results": item.changes_results} for item in fields]
    if found is not None:
        values["same_artifact"] = found.are_one
        values["causes"] = [
            {
                "stage": cause.stage,
                "is_first": cause.is_first,
                "labels": cause.labels,
                "changes": [_change(item) for item in cause.changes],
                "artifacts": [[before.key, after.key] for before, after in cause.pairs],
            }
            for cause in found.causes
        ]
        values["consequences"], values["unknown"] = found.consequences, found.unknown
        values["results"] = [
            {
                "name": item.name,
                "before": item.before and item.before.value,
                "after": item.after and item.after.value,
            }
            for item in results
        ]
    return values


def _change(item: Difference) -> dict[str, Any]:
    sides = {"before": item.before, "after": item.after}
    return {"field": item.path} | {name: None if value is ABSENT else value for name, value in sides.items()}
