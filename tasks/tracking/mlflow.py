"""Rebuilding what MLflow holds: a parent run per flow run, a nested run per artifact, trained models in its registry.

A nested run says what the artifact's manifest says, and a parent what the run's journal says.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from latent_core.config.runtime import TrackingConfig
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, Manifest
from tasks.tracking.client import answering
from tasks.tracking.client import open_client as open_client
from tasks.tracking.description import describe
from tasks.tracking.journal import runs
from tasks.tracking.models import sync_registry
from tasks.tracking.parents import close_parent, nested_tags, open_parent
from tasks.tracking.stage_runs import log_artifact_run, logged_files, whole_run

logger = logging.getLogger("latent")


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
        known = dict(parent.stages)
        flows += parent.is_new
        for entry in journal.stages:
            journaled.add(entry.ref)
            if entry.ref in shards:
                continue
            first = known.get(entry.ref) or (whole_run(client, experiment_id, entry.ref) if entry.cached else None)
            if first is not None:
                known[entry.ref] = first
                there += 1
            elif (artifact := _readable(store, entry.ref)) is not None:
                tags = nested_tags(journal, entry, parent.id)
                description = describe(artifact.manifest, entry, journal)
                known[entry.ref] = log_artifact_run(client, experiment_id, artifact, tags, description)
                logged += 1
            else:
                logger.warning("%s/%s is gone or damaged and was left out", entry.stage, entry.fingerprint[:12])
        if parent.lacks_end(journal):
            close_parent(client, experiment_id, parent.id, journal, store, known)
    for ref in store.list():
        if ref in journaled or ref in shards:
            continue
        if whole_run(client, experiment_id, ref) is not None:
            there += 1
            continue
        artifact = _readable(store, ref)
        if artifact is None:
            logger.warning("%s is damaged and was left out", ref)
            continue
        log_artifact_run(client, experiment_id, artifact, tags={"cache": "rebuilt"})
        logged += 1
    return Synced(flows, logged, there, sync_registry(store, client, experiment_id, written))


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
