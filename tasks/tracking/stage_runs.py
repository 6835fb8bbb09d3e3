"""A stage's MLflow run says what the artifact's manifest says, so that it can be rebuilt from the store alone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from latent_core.store import Artifact, ArtifactRef
from latent_core.store.manifest import StoredFile
from tasks.tracking.code_version import code_tags
from tasks.tracking.description import Description, describe
from tasks.tracking.parameters import flat_numbers, flat_parameters

_LOGGED_FILES = ("report.html", "table.md")
# What a model is, without its weights and its vocabulary, which stay in the store.
_MODEL_FILES = ("config.json", "generation_config.json", "dual_vocab.json", "adapter_config.json")
_MODEL_FOLDERS = ("weights/model", "weights/adapter", "model")
CURVE = "train"  # what comes before the names of what was measured in training


@dataclass
class LiveRun:
    """A run that is still open, and the points of its curve so far, as names and steps."""

    id: str
    points: set[tuple[str, int]] = field(default_factory=set)


def log_artifact_run(
    client: Any,
    experiment_id: str,
    artifact: Artifact,
    tags: Mapping[str, str],
    description: Description | None = None,
    live: LiveRun | None = None,
) -> str:
    """One finished MLflow run that says what a manifest says; parents are its inputs. Returns its id.

    `live` is the run that was begun while the stage computed.
    """
    from mlflow.entities import Metric

    content, record = artifact.manifest.content, artifact.manifest.record
    description = describe(artifact.manifest, None, None) if description is None else description
    started, ended = (int(seconds * 1000) for seconds in (record["started"], record["started"] + record["seconds"]))
    run_id = live.id if live else begin_run(client, experiment_id, artifact.ref, description, tags, started)
    for name, value in _tags_of(artifact).items():
        client.set_tag(run_id, name, value)
    numbers, histograms = _measured(content.metrics)
    metrics = [Metric(name, value, ended, step) for name, value, step in numbers]
    metrics += [Metric(f"rows/{reason}", float(count), ended, 0) for reason, count in content.accounting.items()]
    metrics.append(Metric("seconds", float(record["seconds"]), ended, 0))
    for entry in record.get("curve", []):
        metrics += [
            Metric(name, value, ended, step)
            for name, value, step in curve_points(entry)
            if live is None or (name, step) not in live.points
        ]
    log_parameters(client, run_id, flat_parameters(content.identity, "identity.json"))
    log_metrics(client, run_id, metrics)
    if content.parents:
        client.log_inputs(run_id, [_input(role, parent.fingerprint) for role, parent in content.parents.items()])
    client.log_dict(run_id, content.identity, "identity.json")
    for name, histogram in histograms.items():
        client.log_dict(run_id, histogram, f"{name}.json")
        client.log_text(run_id, _bins(histogram), f"{name}.csv")
    for item in logged_files(artifact):
        client.log_text(run_id, artifact.read_bytes(item.path).decode(), item.path)
    client.set_terminated(run_id, end_time=ended)
    return run_id


def begin_run(
    client: Any,
    experiment_id: str,
    ref: ArtifactRef,
    description: Description,
    tags: Mapping[str, str],
    started: int,
) -> str:
    """An open run for an artifact, with its name and parameters; `started` is in milliseconds. Returns its id."""
    about = {"stage": ref.stage, "fingerprint": ref.fingerprint}
    run = client.create_run(experiment_id, run_name=description.name, tags=about | dict(tags), start_time=started)
    run_id = str(run.info.run_id)
    log_parameters(client, run_id, description.parameters)
    return run_id


def whole_run(client: Any, experiment_id: str, ref: ArtifactRef) -> str | None:
    """The first finished run of an artifact, whichever flow's run it was logged for; None without one."""
    wanted = f"tags.stage = '{ref.stage}' AND tags.fingerprint = '{ref.fingerprint}'"
    found = client.search_runs(
        [experiment_id],
        f"attributes.status = 'FINISHED' AND {wanted}",
        max_results=1,
        order_by=["attributes.start_time ASC"],
    )
    return str(found[0].info.run_id) if found else None


def log_parameters(client: Any, run_id: str, parameters: Mapping[str, str]) -> None:
    """Log parameters, in batches that a server takes."""
    from mlflow.entities import Param

    params = [Param(name, value) for name, value in parameters.items()]
    for start in range(0, len(params), 100):
        client.log_batch(run_id, params=params[start : start + 100])


def log_metrics(client: Any, run_id: str, metrics: list[Any]) -> None:
    """Log metrics, in batches that a server takes."""
    for start in range(0, len(metrics), 1000):
        client.log_batch(run_id, metrics=metrics[start : start + 1000])


def curve_points(entry: Mapping[str, float]) -> Iterator[tuple[str, float, int]]:
    """(name, value, step) of each number that training logged at a step."""
    step = int(entry.get("step", 0))
    for name, value in entry.items():
        if name != "step":
            yield f"{CURVE}/{name}", value, step


def _tags_of(artifact: Artifact) -> dict[str, str]:
    environment = artifact.manifest.record.get("environment", {})
    return {"artifact_uri": artifact.store.uri(artifact.ref)} | code_tags(environment.get("commit", ""))


def _measured(metrics: Mapping[str, Any]) -> tuple[list[tuple[str, float, int]], dict[str, Mapping[str, Any]]]:
    """(name, value, step) of every number, and the histograms by name, whose bins would be a hundred numbers.

    A list of what was measured at steps is a curve, as that of training is.
    """
    histograms = {name: value for name, value in metrics.items() if _is_histogram(value)}
    curves = {name: value for name, value in metrics.items() if _is_curve(value)}
    others = {name: value for name, value in metrics.items() if name not in curves and name not in histograms}
    found = [(name, value, 0) for name, value in flat_numbers(others)]
    for curve, entries in curves.items():
        for entry in entries:
            numbers = flat_numbers({name: value for name, value in entry.items() if name != "step"})
            found += [(f"{curve}/{name}", value, int(entry["step"])) for name, value in numbers]
    return found, histograms


def _is_histogram(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and value.keys() == {"edges", "counts"}
        and len(value["edges"]) == len(value["counts"])
    )


def _is_curve(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) and "step" in item for item in value)
    )


def _bins(histogram: Mapping[str, Any]) -> str:
    """Its bins as CSV: bin i is [from, below), the last one is open."""
    edges, counts = histogram["edges"], histogram["counts"]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("from", "below", "count"))
    table.writerows(zip(edges, [*edges[1:], ""], counts, strict=True))
    return text.getvalue()


def logged_files(artifact: Artifact) -> list[StoredFile]:
    """The files of an artifact that its MLflow run shows."""
    files = artifact.manifest.content.files
    return [item for item in files if item.path in _LOGGED_FILES or _is_shown(item.path)]


def _is_shown(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return folder == "figures" or (folder in _MODEL_FOLDERS and name in _MODEL_FILES)


def _input(role: str, fingerprint: str) -> Any:
    """A parent as MLflow's pages show the inputs of a run: its role, and a pointer to its content."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"fingerprint": fingerprint})
    dataset = Dataset(name=role, digest=fingerprint[:32], source_type="latent", source=source)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", role)])
