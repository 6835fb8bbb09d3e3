"""A stage's MLflow run says what the artifact's manifest says, so that it can be rebuilt from the store alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from latent_core.store import Artifact
from latent_core.store.manifest import StoredFile

_LOGGED_FILES = ("report.html", "table.md")
_LONGEST_PARAMETER = 6000  # characters; MLflow's limit


def log_artifact_run(client: Any, experiment_id: str, artifact: Artifact, tags: Mapping[str, str]) -> None:
    """One finished MLflow run that says what a manifest says; parents are its inputs."""
    from mlflow.entities import Metric, Param

    content, record = artifact.manifest.content, artifact.manifest.record
    uri = artifact.store.uri(artifact.ref)
    started, ended = (int(seconds * 1000) for seconds in (record["started"], record["started"] + record["seconds"]))
    run = client.create_run(
        experiment_id,
        run_name=f"{content.stage} {content.fingerprint[:8]}",
        tags={"stage": content.stage, "fingerprint": content.fingerprint, "artifact_uri": uri, **tags},
        start_time=started,
    )
    run_id = run.info.run_id
    metrics = [Metric(name, value, ended, step) for name, value, step in _measures(content.metrics)]
    metrics += [Metric(f"rows/{reason}", float(count), ended, 0) for reason, count in content.accounting.items()]
    metrics.append(Metric("seconds", float(record["seconds"]), ended, 0))
    for entry in record.get("curve", []):
        step = int(entry.get("step", 0))
        metrics += [Metric(f"train/{name}", value, ended, step) for name, value in entry.items() if name != "step"]
    params = [Param(name, value) for name, value in flat_parameters(content.identity)]
    for start in range(0, len(params), 100):  # the server's limits for one batch
        client.log_batch(run_id, params=params[start : start + 100])
    for start in range(0, len(metrics), 1000):
        client.log_batch(run_id, metrics=metrics[start : start + 1000])
    if content.parents:
        client.log_inputs(run_id, [_input(role, parent.fingerprint) for role, parent in content.parents.items()])
    client.log_dict(run_id, content.identity, "identity.json")
    for item in logged_files(artifact):
        client.log_text(run_id, artifact.read_bytes(item.path).decode(), item.path)
    client.set_terminated(run_id, end_time=ended)


def _measures(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float, int]]:
    """(name, value, step) of every number; a list of what was measured at steps is a curve, as that of training is."""
    curves = {name: value for name, value in metrics.items() if _is_curve(value)}
    for name, value in flat_numbers({name: value for name, value in metrics.items() if name not in curves}):
        yield name, value, 0
    for curve, entries in curves.items():
        for entry in entries:
            for name, value in flat_numbers({name: value for name, value in entry.items() if name != "step"}):
                yield f"{curve}/{name}", value, int(entry["step"])


def _is_curve(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) and "step" in item for item in value)
    )


def logged_files(artifact: Artifact) -> list[StoredFile]:
    """The files of an artifact that its MLflow run shows."""
    files = artifact.manifest.content.files
    return [item for item in files if item.path in _LOGGED_FILES or item.path.startswith("figures/")]


def _input(role: str, fingerprint: str) -> Any:
    """A parent as MLflow's pages show the inputs of a run: its role, and a pointer to its content."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"fingerprint": fingerprint})
    dataset = Dataset(name=role, digest=fingerprint[:32], source_type="latent", source=source)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", role)])


def flat_parameters(identity: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Identity fields by path: `sampling/temperature`; what exceeds MLflow's length stays in identity.json alone."""
    for key, value in identity.items():
        if isinstance(value, Mapping):
            yield from flat_parameters(value, f"{prefix}{key}/")
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        if len(text) <= _LONGEST_PARAMETER:
            yield f"{prefix}{key}", text


def flat_numbers(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of nested metrics by path: `accuracy/value`, `ratios/0/achieved_ratio`; names MLflow accepts."""
    for key, value in metrics.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flat_numbers(value, f"{name}/")
        elif isinstance(value, list):
            yield from flat_numbers({str(index): item for index, item in enumerate(value)}, f"{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, float(value)
