"""Accuracy and length over the ratio: one MLflow run a variant, so that a chart of MLflow's own page shows them all.

MLflow draws a metric over its steps, and steps are integers: the step is the ratio in percent.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from latent_core.evaluation.condition import Condition, Kind
from latent_core.identity import canonical_json
from latent_core.report.names import full_name
from latent_core.store import ArtifactRef, ArtifactStore, Manifest
from tasks.tracking.description import EVALUATIONS, Description, describe, evaluated_condition
from tasks.tracking.journal import Journal, JournalEntry
from tasks.tracking.stage_runs import begin_run, log_metrics

STAGE = "by_ratio"  # the tag `stage` of these runs; their fingerprint stands for the evaluations that they show
PREFIX = "by_ratio_percent"  # MLflow's page puts what begins alike into one section
_COLUMNS = ("accuracy", "accuracy_low", "accuracy_high", "tokens", "reasoning_tokens")
_SHARED = ("model", "variant", "seed", "benchmark")


class Point(NamedTuple):
    """An evaluation, and the ratio at which it is drawn."""

    ratio: float
    manifest: Manifest
    description: Description


class Curve(NamedTuple):
    """Evaluations of one model in one way, at every ratio at which the run had it."""

    ref: ArtifactRef
    name: str
    points: tuple[Point, ...]  # by ascending ratio


def condition_of(entry: JournalEntry, manifest: Manifest) -> Condition | None:
    """The condition of a run's evaluation; None for another stage, and for a summary of another release."""
    metrics = manifest.content.metrics
    if not isinstance(metrics.get("accuracy"), Mapping) or not isinstance(metrics.get("tokens"), Mapping):
        return None
    return evaluated_condition(entry.stage, entry.label)


def headline(entry: JournalEntry, manifest: Manifest) -> dict[str, float]:
    """What a flow's run shows of an evaluation: accuracy as a fraction, tokens as a mean per question."""
    condition = condition_of(entry, manifest)
    if condition is None:
        return {}
    metrics = manifest.content.metrics
    name = full_name(condition).replace(", ", " ")
    return {
        f"accuracy/{name}": float(metrics["accuracy"]["value"]),
        f"tokens/{name}": float(metrics["tokens"]["value"]),
    }


def evaluations(journal: Journal, store: ArtifactStore) -> list[tuple[JournalEntry, Manifest]]:
    """The evaluations of a run that the store still has; the manifests of other stages are not read."""
    asked = [entry for entry in journal.stages if entry.stage in EVALUATIONS]
    found = ((entry, store.get(entry.stage, entry.fingerprint)) for entry in asked)
    return [(entry, artifact.manifest) for entry, artifact in found if artifact is not None]


def curves(journal: Journal, manifests: Iterable[tuple[JournalEntry, Manifest]]) -> list[Curve]:
    """The curves of a run's evaluations, in the order of the run; none where no ratio was asked for.

    The base model as it is stands at ratio 1, and so does a model that was not trained on ratios.
    """
    groups: dict[tuple[str, Kind, str], list[Point]] = {}
    for entry, manifest in manifests:
        condition = condition_of(entry, manifest)
        ratio = None if condition is None else 1.0 if condition.kind is Kind.TRAINED else condition.ratio
        if condition is None or ratio is None:
            continue
        description = describe(manifest, entry, journal)
        benchmark = description.parameters.get("benchmark", "")
        group = condition.trained_model, condition.kind, benchmark
        groups.setdefault(group, []).append(Point(ratio, manifest, description))
    if all(kind is Kind.TRAINED for _, kind, _ in groups):
        return []
    return [_curve(name, kind, benchmark, points) for (name, kind, benchmark), points in groups.items()]


def _curve(name: str, kind: Kind, benchmark: str, found: Sequence[Point]) -> Curve:
    points = tuple(sorted(found, key=lambda point: point.ratio))
    how = "" if kind in (Kind.RATIO, Kind.UNTRAINED) else f" {kind.value}"
    model = points[0].description.parameters.get("model", "")
    title = " · ".join(filter(None, (f"{name}{how} by ratio", model, benchmark)))
    shown = [[point.manifest.content.fingerprint, point.ratio] for point in points]
    digest = hashlib.sha256(canonical_json([title, shown]).encode()).hexdigest()
    return Curve(ArtifactRef(STAGE, digest), title, points)


def log_curve(client: Any, experiment_id: str, curve: Curve, tags: Mapping[str, str]) -> str:
    """A finished run with the metrics `by_ratio_percent/accuracy` and others over the ratio in percent."""
    from mlflow.entities import Metric

    parameters = curve.points[0].description.parameters
    about = {name: parameters[name] for name in _SHARED if name in parameters}
    about["ratios"] = ", ".join(f"{point.ratio:g}" for point in curve.points)
    ended = max(_end_of(point.manifest) for point in curve.points)
    run_id = begin_run(client, experiment_id, curve.ref, Description(curve.name, about), tags, ended)
    metrics = [
        Metric(f"{PREFIX}/{name}", value, ended, round(100 * point.ratio))
        for point in curve.points
        for name, value in _measures(point.manifest.content.metrics).items()
    ]
    log_metrics(client, run_id, metrics)
    client.log_text(run_id, _table(curve), f"{STAGE}.csv")
    client.set_terminated(run_id, end_time=ended)
    return run_id


def _table(curve: Curve) -> str:
    """The same as CSV, with the exact ratios and the evaluations' fingerprints."""
    text = io.StringIO()
    table = csv.DictWriter(text, ("ratio", *_COLUMNS, "fingerprint"), lineterminator="\n")
    table.writeheader()
    for point in curve.points:
        content = point.manifest.content
        ends = {"ratio": point.ratio, "fingerprint": content.fingerprint}
        table.writerow(ends | _measures(content.metrics))
    return text.getvalue()


def _measures(metrics: Mapping[str, Any]) -> dict[str, float]:
    accuracy = metrics["accuracy"]
    found = dict(zip(_COLUMNS, (accuracy["value"], accuracy.get("low"), accuracy.get("high")), strict=False))
    found |= {"tokens": metrics["tokens"]["value"], "reasoning_tokens": metrics.get("reasoning_tokens")}
    return {name: float(value) for name, value in found.items() if value is not None}


def _end_of(manifest: Manifest) -> int:
    return int((manifest.record["started"] + manifest.record["seconds"]) * 1000)
