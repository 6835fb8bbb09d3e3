"""What MLflow holds: one parent run per flow run, one nested run per stage, trained models in its registry.

A nested run says what the artifact's manifest says, and a parent what the run's journal says: both can be rebuilt.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from latent_core.config.runtime import TrackingConfig
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, Manifest
from tasks.tracking.client import answering
from tasks.tracking.client import open_client as open_client
from tasks.tracking.journal import Journal, JournalEntry, runs
from tasks.tracking.models import sync_registry
from tasks.tracking.stage_runs import log_artifact_run as log_artifact_run  # the tracker's too
from tasks.tracking.stage_runs import logged_files

logger = logging.getLogger("latent")
FLOW_RUN_TAG = "prefect.flow_run_id"
RUN_TAG = "latent.run"  # what all attempts at a run have in common
PARENT_TAG = "mlflow.parentRunId"


class Synced(NamedTuple):
    """How many MLflow runs `sync` wrote, of flows and of stages, how many stages' runs were there already, and how many
    versions of models it registered."""

    flows: int
    stages: int
    there: int
    models: int = 0


def sync(store: ArtifactStore, config: TrackingConfig) -> Synced:
    """Rebuild what MLflow lacks: the runs of finished flows, a run for every other whole artifact, registered models.

    Raises InfrastructureError when MLflow does not answer; what was written by then stays, and is not written again.
    """
    with answering(config):
        client, experiment_id = open_client(config)
        return _sync(store, client, experiment_id)


def _sync(store: ArtifactStore, client: Any, experiment_id: str) -> Synced:
    flows = logged = there = 0
    journaled = set()
    written = list(runs(store))
    shards = _shards_of_merged(store)
    for journal in written:
        parent = open_parent(client, experiment_id, journal)
        flows += parent.is_new
        for entry in journal.stages:
            journaled.add(entry.ref)
            if entry.ref in shards:
                continue
            if entry.ref in parent.stages:
                there += 1
            elif (artifact := _readable(store, entry.ref)) is not None:
                log_artifact_run(client, experiment_id, artifact, nested_tags(journal, entry, parent.id))
                logged += 1
            else:
                logger.warning("%s/%s is gone or damaged and was left out", entry.stage, entry.fingerprint[:12])
        if parent.lacks_end(journal):
            close_parent(client, parent.id, journal)
    for ref in store.list():
        if ref in journaled or ref in shards:
            continue
        if _is_logged(client, experiment_id, ref):
            there += 1
            continue
        artifact = _readable(store, ref)
        if artifact is None:
            logger.warning("%s is damaged and was left out", ref)
            continue
        log_artifact_run(client, experiment_id, artifact, tags={"cache": "rebuilt"})
        logged += 1
    return Synced(flows, logged, there, sync_registry(store, client, written))


def _shards_of_merged(store: ArtifactStore) -> set[ArtifactRef]:
    """Shards have no runs of their own: the merged artifact stands for them, of which there may be thousands."""
    manifests = (manifest for _, manifest in store.committed() if isinstance(manifest, Manifest))
    return {entry.ref for manifest in manifests for entry in manifest.content.shards}


def _readable(store: ArtifactStore, ref: ArtifactRef) -> Artifact | None:
    """The artifact if it is whole, and what its run would show of its files is what was written."""
    artifact = store.get(ref.stage, ref.fingerprint)
    if artifact is None or any(artifact.problem(item) for item in logged_files(artifact)):
        return None
    return artifact


def _is_logged(client: Any, experiment_id: str, ref: ArtifactRef) -> bool:
    """Whether any run of this stage is whole."""
    wanted = f"tags.stage = '{ref.stage}' AND tags.fingerprint = '{ref.fingerprint}'"
    return bool(client.search_runs([experiment_id], f"attributes.status = 'FINISHED' AND {wanted}", max_results=1))


@dataclass(frozen=True)
class ParentRun:
    """The MLflow run of a flow's run: its id, the stages that have whole runs below it, and how it stood when found."""

    id: str
    is_new: bool = True
    stages: frozenset[ArtifactRef] = frozenset()
    status: str = "RUNNING"
    ended: int = 0  # milliseconds since the epoch

    def lacks_end(self, journal: Journal) -> bool:
        """Whether the journal knows of a later end; one that MLflow alone knows of stays."""
        if self.status == "RUNNING":
            return True
        return self.status != journal.status and self.ended < _milliseconds(journal.ended)


def open_parent(client: Any, experiment_id: str, journal: Journal) -> ParentRun:
    """The MLflow run of a flow's run, still to be closed: that of an earlier attempt at the same run, or a new one.

    What an attempt left half-written below it is removed.
    """
    found = client.search_runs([experiment_id], f"tags.`{RUN_TAG}` = '{journal.run}'", max_results=1)
    if not found:
        return ParentRun(create_parent(client, experiment_id, journal))
    info = found[0].info
    whole = set()
    for run in _all_runs(client, experiment_id, f"tags.`{PARENT_TAG}` = '{info.run_id}'"):
        if run.info.status == "FINISHED":
            whole.add(ArtifactRef(run.data.tags["stage"], run.data.tags["fingerprint"]))
        else:
            client.delete_run(run.info.run_id)
    return ParentRun(info.run_id, False, frozenset(whole), info.status, info.end_time or 0)


def _all_runs(client: Any, experiment_id: str, wanted: str) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_runs([experiment_id], wanted, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def create_parent(client: Any, experiment_id: str, journal: Journal) -> str:
    """A new MLflow run for a flow's run, still open; returns its id."""
    tags = {RUN_TAG: journal.run, FLOW_RUN_TAG: journal.flow_run_id, "latent.flow": journal.flow}
    started = _milliseconds(journal.started)
    run = client.create_run(experiment_id, run_name=journal.flow, tags=tags, start_time=started)
    client.log_dict(run.info.run_id, journal.config, "config.json")
    return str(run.info.run_id)


def close_parent(client: Any, parent_id: str, journal: Journal) -> None:
    """Bring the run of a flow to its end, with all its tags."""
    for name, value in journal.tags.items():
        client.set_tag(parent_id, name, value)
    client.set_terminated(parent_id, journal.status, end_time=_milliseconds(journal.ended))


def _milliseconds(seconds: float | None) -> int:
    return int((seconds or time.time()) * 1000)


def nested_tags(journal: Journal, entry: JournalEntry, parent_id: str) -> dict[str, str]:
    """What hangs a stage's run under its flow's."""
    cache = "hit" if entry.cached else "miss"
    return {PARENT_TAG: parent_id, FLOW_RUN_TAG: journal.flow_run_id, "cache": cache}
