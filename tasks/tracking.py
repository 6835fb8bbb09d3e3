"""MLflow: one parent run per flow run, one nested run per stage. Tracking never stops the work.

Everything a nested run holds comes from the artifact's manifest, so that runs can be rebuilt from the store.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latent_core.config.base import StageConfig
from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InputError
from latent_core.store import Artifact, ArtifactRef, ArtifactStore

logger = logging.getLogger("latent")
FLOW_RUN_TAG = "prefect.flow_run_id"
CHAMPION = "champion"
_LOGGED_FILES = ("report.html", "table.md")


def tracking_uri(config: TrackingConfig) -> str:
    """Where runs go: the configured URI, MLFLOW_TRACKING_URI, or a local SQLite file."""
    return config.uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('.latent').absolute()}/mlflow.db"


@dataclass
class Tracker:
    """Writes to MLflow until the first failure, then warns once and stays silent."""

    client: Any = None
    experiment_id: str = ""
    parent_id: str = ""
    flow_run_id: str = ""
    registers_models: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def start(cls, config: TrackingConfig, name: str, parameters: StageConfig) -> Tracker:
        """Open the parent run; a disabled or unreachable tracker does nothing from then on."""
        tracker = cls(flow_run_id=_flow_run_id(), registers_models=config.register_models)
        if config.enabled:
            tracker._guard(lambda: tracker._open(config, name, parameters))
        return tracker

    def stage(self, artifact: Artifact, store: ArtifactStore, *, cached: bool) -> None:
        """A nested run for one artifact."""
        if self.client is not None:
            self._guard(lambda: self._log_stage(artifact, store, cached))

    def finish(self, *, failed: bool) -> None:
        if self.client is not None and self.parent_id:
            self._guard(lambda: self.client.set_terminated(self.parent_id, "FAILED" if failed else "FINISHED"))

    def register_model(self, name: str, ref: ArtifactRef, store: ArtifactStore, variant: str) -> None:
        """Make a trained model a version of `name` in the model registry."""
        if self.client is not None and self.registers_models:
            self._guard(lambda: register(self.client, name, ref, store, variant))

    def tag(self, tags: Mapping[str, str]) -> None:
        """Tags of the parent run, by which later runs find it."""

        def write() -> None:
            for name, value in tags.items():
                self.client.set_tag(self.parent_id, name, value)

        if self.client is not None:
            self._guard(write)

    def earlier(self, tags: Mapping[str, str]) -> Mapping[str, str] | None:
        """All tags of the newest finished parent run that has these; None without one, or without tracking."""
        found: list[Any] = []
        wanted = " AND ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())

        def search() -> None:
            query = f"attributes.status = 'FINISHED' AND {wanted}"
            found.extend(
                self.client.search_runs(
                    [self.experiment_id], query, max_results=1, order_by=["attributes.start_time DESC"]
                )
            )

        if self.client is not None:
            self._guard(search)
        return dict(found[0].data.tags) if found else None

    def describe(self) -> str:
        """The parent run's id and where it is tracked; empty when tracking is off."""
        return f"run `{self.parent_id}` at `{self.client.tracking_uri}`" if self.client is not None else ""

    def url(self) -> str | None:
        """A link to the parent run where the tracking server has pages."""
        uri = str(self.client.tracking_uri) if self.client is not None else ""
        return f"{uri}/#/experiments/{self.experiment_id}/runs/{self.parent_id}" if uri.startswith("http") else None

    def _guard(self, action: Callable[[], object]) -> None:
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        with self._lock:
            try:
                action()
            except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
                logger.warning("tracking is off for the rest of this run (`latent track sync` rebuilds it): %s", error)
                self.client = None

    def _open(self, config: TrackingConfig, name: str, parameters: StageConfig) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # the default hangs for minutes on a dead server
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        self.client, self.experiment_id = open_client(config)
        run = self.client.create_run(
            self.experiment_id, run_name=name, tags={FLOW_RUN_TAG: self.flow_run_id, "latent.flow": name}
        )
        self.parent_id = run.info.run_id
        self.client.log_dict(self.parent_id, parameters.model_dump(mode="json"), "config.json")

    def _log_stage(self, artifact: Artifact, store: ArtifactStore, cached: bool) -> None:
        log_artifact_run(
            self.client,
            self.experiment_id,
            artifact,
            store,
            tags={
                "mlflow.parentRunId": self.parent_id,
                FLOW_RUN_TAG: self.flow_run_id,
                "cache": "hit" if cached else "miss",
            },
        )


def open_client(config: TrackingConfig) -> tuple[Any, str]:
    """An MLflow client and the id of the configured experiment, created if there is none."""
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


def sync(store: ArtifactStore, config: TrackingConfig) -> tuple[int, int]:
    """Log a run for every whole artifact that the experiment has none for; returns (logged, already there)."""
    client, experiment_id = open_client(config)
    logged = there = 0
    for ref in store.list():
        artifact = store.get(ref.stage, ref.fingerprint)
        if artifact is None:
            logger.warning("%s is damaged and was left out", ref)
            continue
        wanted = f"tags.stage = '{ref.stage}' AND tags.fingerprint = '{ref.fingerprint}'"
        if client.search_runs([experiment_id], wanted, max_results=1):
            there += 1
            continue
        log_artifact_run(client, experiment_id, artifact, store, tags={"cache": "rebuilt"})
        logged += 1
    return logged, there


def log_artifact_run(
    client: Any, experiment_id: str, artifact: Artifact, store: ArtifactStore, tags: Mapping[str, str]
) -> None:
    """One finished MLflow run that says what a manifest says."""
    from mlflow.entities import Metric

    content, record = artifact.manifest.content, artifact.manifest.record
    identity = {"stage": content.stage, "fingerprint": content.fingerprint, "artifact_uri": store.uri(artifact.ref)}
    run = client.create_run(
        experiment_id,
        run_name=f"{content.stage} {content.fingerprint[:8]}",
        tags={**identity, **tags},
        start_time=int(record["started"] * 1000),
    )
    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, 0) for name, value in flat_numbers(content.metrics)]
    metrics += [Metric(f"rows/{reason}", float(count), now, 0) for reason, count in content.accounting.items()]
    metrics.append(Metric("seconds", float(record["seconds"]), now, 0))
    for entry in record.get("curve", []):
        step = int(entry.get("step", 0))
        metrics += [Metric(f"train/{name}", value, now, step) for name, value in entry.items() if name != "step"]
    for start in range(0, len(metrics), 1000):  # the server's limit for one batch
        client.log_batch(run.info.run_id, metrics=metrics[start : start + 1000])
    client.log_dict(run.info.run_id, content.identity, "identity.json")
    for item in content.files:
        if item.path in _LOGGED_FILES or item.path.startswith("figures/"):
            client.log_text(run.info.run_id, artifact.read_bytes(item.path).decode(), item.path)
    client.set_terminated(run.info.run_id, end_time=int((record["started"] + record["seconds"]) * 1000))


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
    fingerprint = f"name = '{name}' AND tags.fingerprint = '{ref.fingerprint}'"
    known = list(client.search_model_versions(fingerprint))
    if known:
        version = str(known[0].version)
    else:
        tags = {"stage": ref.stage, "fingerprint": ref.fingerprint, "store": store.root, "variant": variant}
        version = str(client.create_model_version(name, source=store.uri(ref), tags=tags).version)
    client.set_registered_model_alias(name, variant, version)
    if CHAMPION not in client.get_registered_model(name).aliases:
        client.set_registered_model_alias(name, CHAMPION, version)
    return version


def set_champion(config: TrackingConfig, name: str, version: str) -> str:
    """Point the alias `champion` of a registered model at a version, named by number or alias; returns its number."""
    from mlflow.exceptions import MlflowException

    client, _ = open_client(config)
    try:
        if not version.isdigit():
            version = str(client.get_model_version_by_alias(name, version).version)
        client.set_registered_model_alias(name, CHAMPION, version)
    except MlflowException as error:
        raise InputError(f"{name} {version}: not in the MLflow registry at {client.tracking_uri} ({error})") from error
    return version


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


def _flow_run_id() -> str:
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    return str(context.flow_run.id) if context is not None and context.flow_run is not None else ""
