"""Sweeps: a flow over all combinations of some parameters' values, as one plan, one run after another.

The points share a store, so a stage that several points have is computed once. A point that fails does not stop the
others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from flows.launch.execute import prepare, run_missing
from flows.launch.parameters import load
from flows.launch.plan import plan
from flows.launch.registry import FlowEntry, find_flow
from latent_core.addresses import without_passwords
from latent_core.config.base import Role, StageConfig
from latent_core.config.differences import shown
from latent_core.config.fields import described
from latent_core.errors import InputError, LatentError
from latent_core.store import ArtifactRef, ArtifactStore
from tasks.run.headlines import Result, results_behind
from tasks.run.plan import Plan

_MOST_POINTS = 1000  # of a sweep that somebody means


@dataclass(frozen=True)
class Point:
    """One combination: the values by parameter, and the flow's parameters with them."""

    values: dict[str, Any]
    config: StageConfig

    @property
    def name(self) -> str:
        """`train.learning_rate=0.001 seeds=[1, 2]`."""
        return " ".join(f"{path}={shown(value)}" for path, value in self.values.items())


@dataclass(frozen=True)
class PlannedPoint:
    """A point with its plan; `new` stages are missing and belong to no earlier point."""

    point: Point
    planned: Plan
    result: ArtifactRef
    new: int


@dataclass(frozen=True)
class SweepPlan:
    """All points of a sweep. Stages that several points have count once."""

    entry: FlowEntry
    points: list[PlannedPoint]
    stages: int
    shared: int
    missing: int


@dataclass(frozen=True)
class PointResult:
    """What became of a point; `failure` is empty where it has a report."""

    point: Point
    report: ArtifactRef | None
    failure: str = ""
    results: list[Result] = field(default_factory=list)


def plan_sweep(flow: str, file: Path | None, overrides: Sequence[str], over: Sequence[str]) -> SweepPlan:
    """Check every point and plan it, without computing anything.

    Raises InputError for a parameter that the flow does not have, a list of values that is empty, holds one twice or
    is of another kind, for one that changes no result, and for two points that are one.
    """
    axes = dict(_axis(item) for item in over)
    if len(axes) < len(over):
        raise InputError("--over: a parameter is given twice; put all its values into one list")
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > _MOST_POINTS:
        raise InputError(
            f"--over: these are {count:,} points, and a sweep has at most {_MOST_POINTS:,}; leave some out"
        )
    entry = find_flow(flow)
    roles = {item.path: item.role for item in described(entry.config)}
    for path in axes:
        if roles.get(path) is Role.RUNTIME:
            raise InputError(f"--over: {path} changes no result; vary what does, and give this one with --set")
    points = list(_points(entry, file, overrides, axes))
    known: set[ArtifactRef] = set()
    shared: set[ArtifactRef] = set()
    missing: set[ArtifactRef] = set()
    planned = []
    for point in points:
        own, result = plan(entry, point.config)
        refs = {line.ref for line in own.lines}
        lacking = {line.ref for line in own.missing()}
        planned.append(PlannedPoint(point, own, result, len(lacking - known)))
        shared |= refs & known
        known |= refs
        missing |= lacking
    return SweepPlan(entry, planned, len(known), len(shared), len(missing))


def _axis(item: str) -> tuple[str, list[Any]]:
    path, equals, raw = item.partition("=")
    if not equals or not path:
        raise InputError(f"--over: {item!r} must look like section.field=value,value")
    try:
        values = yaml.safe_load(f"[{raw}]")
    except yaml.YAMLError as error:
        raise InputError(f"--over: the values in {item!r} are no list; separate them by commas") from error
    if not values:
        raise InputError(f"--over: {path} has no value; give some, such as {path}=1,2")
    _refuse_twice(path, values)
    return path, values


def _refuse_twice(path: str, values: Sequence[Any]) -> None:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise InputError(f"--over: {path} has the value {shown(value)} twice; keep one")


def _points(
    entry: FlowEntry, file: Path | None, overrides: Sequence[str], axes: dict[str, list[Any]]
) -> Iterator[Point]:
    seen: list[tuple[dict[str, Any], Point]] = []
    for combination in itertools.product(*axes.values()):
        chosen = dict(zip(axes, combination, strict=True))
        config = load(entry.config, file, overrides, chosen)
        point = Point({path: value_at(config, path) for path in chosen}, config)
        resolved = config.model_dump(mode="json")
        for other, earlier in seen:
            if other == resolved:
                raise InputError(f"--over: {point.name} and {earlier.name} are the same parameters; keep one")
        seen.append((resolved, point))
        yield point


def value_at(config: StageConfig, path: str) -> Any:
    """The value of a parameter by its path, as the flow will have it."""
    value: Any = config.model_dump(mode="json")
    for part in path.split("."):
        value = value[part]
    return value


def run_sweep(sweep: SweepPlan, say: Callable[[str], None]) -> list[PointResult]:
    """Run the points one after another, each with what it lacks; `say` is told of each that begins or fails."""
    prepare()
    done: list[PointResult] = []
    for number, planned in enumerate(sweep.points, start=1):
        say(f"point {number} of {len(sweep.points)}: {planned.point.name}")
        try:
            finished = run_missing(sweep.entry, planned.point.config, [])
            failure = "" if finished.verdict is None else str(finished.verdict)
            done.append(PointResult(planned.point, finished.result.ref, failure))
        except (LatentError, OSError) as error:
            failure = " ".join(without_passwords(str(error)).split())
            done.append(PointResult(planned.point, None, failure or type(error).__name__))
        if failure:
            say(f"point {number} failed: {failure}")
    return with_results(sweep.points[0].planned.store, done)


def with_results(store: ArtifactStore, done: Sequence[PointResult]) -> list[PointResult]:
    """The same with the results that each point's report stands on."""
    found = results_behind(store, {item.report for item in done if item.report is not None})
    return [
        PointResult(item.point, item.report, item.failure, found.get(item.report, []) if item.report else [])
        for item in done
    ]
