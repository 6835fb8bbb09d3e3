"""What MLflow holds: one parent run per flow run, one nested run per stage, trained models in its registry.

A nested run says what the artifact's manifest says, and a parent what the run's journal says: both can be rebuilt.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from latent_core.addresses import without_password
from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InfrastructureError, InputError
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, Manifest
from tasks.journal import Journal, JournalEntry, JournalModel, journals

logger = logging.getLogger("latent")
FLOW_RUN_TAG = "prefect.flow_run_id"
RUN_TAG = "latent.run"  # a journal's id
PARENT_TAG = "mlflow.parentRunId"
CHAMPION = "champion"
# MLflow's own defaults hang for minutes on a dead server, for as long as one that is busy says (Retry-After), and print
# two lines for each run. A call that fails is tried three times within some three seconds.
_CLIENT_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_LOGGED_FILES = ("report.html", "table.md")
_LONGEST_PARAMETER = 6000  # characters; MLflow's limit


def tracking_uri(config: TrackingConfig) -> str:
    """Where runs go: the configured URI, MLFLOW_TRACKING_URI, or a local SQLite file."""
    return config.uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('.latent').absolute()}/mlflow.db"


class Synced(NamedTuple):
    """How many MLflow runs `sync` wrote, of flows and of stages, how many stages' runs were there already, and how many
    versions of models it registered."""

    flows: int
    stages: int
    there: int
    models: int = 0


def open_client(config: TrackingConfig) -> tuple[Any, str]:
    """An MLflow client and the id of the configured experiment, created if there is none."""
    for name, value in _CLIENT_SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    uri = tracking_uri(config)
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(config.experiment)
    if experiment is not None:
        return client, experiment.experiment_id
    location = None
    if uri.startswith("sqlite:///"):
        location = Path(uri.removeprefix("sqlite:///")).with_name("mlflow-artifacts").as_uri()
    return client, client.create_experiment(config.experiment, artifact_location=location)


def sync(store: ArtifactStore, config: TrackingConfig) -> Synced:
    """Rebuild what MLflow lacks: the runs of finished flows, a run for every other whole artifact, registered models.

    Raises InfrastructureError when MLflow does not answer; what was written by then stays, and is not written again.
    """
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    try:
        client, experiment_id = open_client(config)
        return _sync(store, client, experiment_id)
    except (MlflowException, RequestException) as error:
        raise InfrastructureError(
            f"tracking: {without_password(tracking_uri(config))} does not do its work ({error})"
        ) from error


def _sync(store: ArtifactStore, client: Any, experiment_id: str) -> Synced:
    flows = logged = there = 0
    journaled = set()
    written = list(journals(store))
    shards = _shards_of_merged(store)
    for journal in written:
        found = client.search_runs([experiment_id], f"tags.`{RUN_TAG}` = '{journal.id}'", max_results=1)
        flows += not found
        parent_id = found[0].info.run_id if found else create_parent(client, experiment_id, journal)
        for entry in journal.stages:
            journaled.add((entry.stage, entry.fingerprint))
            if ArtifactRef(entry.stage, entry.fingerprint) in shards:
                continue
            under = f"tags.`{PARENT_TAG}` = '{parent_id}' AND "
            if _is_logged(client, experiment_id, entry.stage, entry.fingerprint, under):
                there += 1
            elif (artifact := store.get(entry.stage, entry.fingerprint)) is not None:
                log_artifact_run(client, experiment_id, artifact, nested_tags(journal, entry, parent_id))
                logged += 1
            else:
                logger.warning("%s/%s is gone or damaged and was left out", entry.stage, entry.fingerprint[:12])
        if not found or found[0].info.status != journal.status:
            close_parent(client, parent_id, journal)
    for ref in store.list():
        if (ref.stage, ref.fingerprint) in journaled or ref in shards:
            continue
        if _is_logged(client, experiment_id, ref.stage, ref.fingerprint):
            there += 1
            continue
        artifact = store.get(ref.stage, ref.fingerprint)
        if artifact is None:
            logger.warning("%s is damaged and was left out", ref)
            continue
        log_artifact_run(client, experiment_id, artifact, tags={"cache": "rebuilt"})
        logged += 1
    return Synced(flows, logged, there, _sync_registry(store, client, written))


def _shards_of_merged(store: ArtifactStore) -> set[ArtifactRef]:
    """Shards have no runs of their own: the merged artifact stands for them, of which there may be thousands."""
    manifests = (manifest for _, manifest in store.committed() if isinstance(manifest, Manifest))
    return {entry.ref for manifest in manifests for entry in manifest.content.shards}


def _sync_registry(store: ArtifactStore, client: Any, written: Sequence[Journal]) -> int:
    """Register, in the order of the runs, what the registry lacks; returns how many versions that were.

    The aliases of a model that lacked a version become what the runs left; others stay as they are. That `champion` was
    moved by hand is written down nowhere but in MLflow: rebuilt from nothing it is the first version again.
    """
    lacking: set[str] = set()
    count = 0
    last: dict[tuple[str, str], JournalModel] = {}
    for model in (model for journal in written for model in journal.models):
        known = _versions(client, model.name, model.fingerprint)
        if not known and store.get(model.stage, model.fingerprint) is None:
            logger.warning("%s/%s is gone or damaged and was not registered", model.stage, model.fingerprint[:12])
            continue
        last[model.name, model.variant] = model
        if not known:
            register(client, model.name, ArtifactRef(model.stage, model.fingerprint), store, model.variant)
            lacking.add(model.name)
            count += 1
    for (name, variant), model in last.items():
        if name in lacking:
            register(client, name, ArtifactRef(model.stage, model.fingerprint), store, variant)
    return count


def _versions(client: Any, name: str, fingerprint: str) -> list[Any]:
    return list(client.search_model_versions(f"name = '{name}' AND tags.fingerprint = '{fingerprint}'"))


def _is_logged(client: Any, experiment_id: str, stage: str, fingerprint: str, under: str = "") -> bool:
    """Whether a stage has a whole run; one that was broken off is removed. `under` narrows it to a parent's."""
    wanted = f"{under}tags.stage = '{stage}' AND tags.fingerprint = '{fingerprint}'"
    runs = client.search_runs([experiment_id], wanted)
    for run in runs:
        if run.info.status == "RUNNING" and under:
            client.delete_run(run.info.run_id)
    return any(run.info.status == "FINISHED" for run in runs)


def create_parent(client: Any, experiment_id: str, journal: Journal) -> str:
    """The MLflow run of a flow's run, still open; returns its id."""
    tags = {RUN_TAG: journal.id, FLOW_RUN_TAG: journal.flow_run_id, "latent.flow": journal.flow}
    started = int(journal.started * 1000)
    run = client.create_run(experiment_id, run_name=journal.flow, tags=tags, start_time=started)
    client.log_dict(run.info.run_id, journal.config, "config.json")
    return str(run.info.run_id)


def close_parent(client: Any, parent_id: str, journal: Journal) -> None:
    """Bring the run of a flow to its end, with all its tags."""
    for name, value in journal.tags.items():
        client.set_tag(parent_id, name, value)
    ended = int((journal.ended or time.time()) * 1000)
    client.set_terminated(parent_id, journal.status, end_time=ended)


def nested_tags(journal: Journal, entry: JournalEntry, parent_id: str) -> dict[str, str]:
    """What hangs a stage's run under its flow's."""
    cache = "hit" if entry.cached else "miss"
    return {PARENT_TAG: parent_id, FLOW_RUN_TAG: journal.flow_run_id, "cache": cache}


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
    metrics = [Metric(name, value, ended, 0) for name, value in flat_numbers(content.metrics)]
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
        client.log_inputs(run_id, [_input(role, parent) for role, parent in content.parents.items()])
    client.log_dict(run_id, content.identity, "identity.json")
    for item in content.files:
        if item.path in _LOGGED_FILES or item.path.startswith("figures/"):
            client.log_text(run_id, artifact.read_bytes(item.path).decode(), item.path)
    client.set_terminated(run_id, end_time=ended)


def _input(role: str, fingerprint: str) -> Any:
    """A parent as MLflow's pages show the inputs of a run: its role, and a pointer to its content."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"fingerprint": fingerprint})
    dataset = Dataset(name=role, digest=fingerprint[:32], source_type="latent", source=source)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", role)])


def register(client: Any, name: str, ref: ArtifactRef, store: ArtifactStore, variant: str) -> str:
    """Make the trained model at `ref` a version of `name` unless it is one; returns the version.

    The variant (standard, dual) becomes an alias of its newest version; the first version of all is `champion` until
    somebody moves that alias (in MLflow's pages, or with `latent track champion`).
    """
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    known = _versions(client, name, ref.fingerprint)
    if known:
        version = str(known[0].version)
    else:
        tags = {"stage": ref.stage, "fingerprint": ref.fingerprint, "store": store.root, "variant": variant}
        version = str(client.create_model_version(name, source=_source(ref, store), tags=tags).version)
    client.set_registered_model_alias(name, variant, version)
    if CHAMPION not in client.get_registered_model(name).aliases:
        client.set_registered_model_alias(name, CHAMPION, version)
    return version


def _source(ref: ArtifactRef, store: ArtifactStore) -> str:
    """Where a version's files are. An MLflow server refuses paths of a disk, which the version's tags tell instead."""
    uri = store.uri(ref)
    return uri if "://" in uri and not uri.startswith("file:") else f"latent://{ref.key}"


def set_champion(config: TrackingConfig, name: str, version: str) -> str:
    """Point the alias `champion` of a registered model at a version, named by number or alias; returns its number."""
    from mlflow.exceptions import MlflowException

    client, _ = open_client(config)
    try:
        if not version.isdigit():
            version = str(client.get_model_version_by_alias(name, version).version)
        client.set_registered_model_alias(name, CHAMPION, version)
    except MlflowException as error:
        raise InputError(
            f"{name} {version}: not in the MLflow registry at {without_password(client.tracking_uri)} ({error})"
        ) from error
    return version


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
