"""Models by where they are kept: outside, in the store, or under a name in MLflow's model registry.

A registered version points at an artifact of the store; nothing is copied into MLflow.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InputError
from latent_core.store import ArtifactRef, ArtifactStore
from tasks.stage import ModelInput, Parent
from tasks.tracking import open_client

_REGISTERED = re.compile(r"models:/(?P<name>[^@/]+)(?:@(?P<alias>[^@/]+)|/(?P<version>\d+))")
_ADDRESS = re.compile(r"(train|build_dual|grpo)/[^/]+")


class FoundModel(NamedTuple):
    """A model, and in words which one it is at the moment: its version in the registry, its address in the store."""

    parent: Parent
    words: str


def find_version(spec: str, store: ArtifactStore, tracking: TrackingConfig) -> FoundModel:
    """As `find_model`, with the version that an alias stands for now."""
    registered = _REGISTERED.fullmatch(spec)
    if registered is None:
        parent = find_model(spec, store, tracking)
        return FoundModel(parent, str(parent) if isinstance(parent, ArtifactRef) else spec)
    ref, version = _from_registry(spec, registered, store, tracking)
    return FoundModel(ref, f"version {version} ({ref})")


def find_model(spec: str, store: ArtifactStore, tracking: TrackingConfig) -> Parent:
    """The model that `spec` names, as a stage's input.

    `models:/NAME@ALIAS` and `models:/NAME/VERSION` are looked up in MLflow's registry, `train/FINGERPRINT` or
    `grpo/FINGERPRINT` (which may be shortened while it stays unique) in the store; anything else as `open_model` does.
    Raises InputError naming the field.
    """
    registered = _REGISTERED.fullmatch(spec)
    if registered is not None:
        return _from_registry(spec, registered, store, tracking)[0]
    if spec.startswith("models:/"):
        raise InputError(f"model: {spec!r} is not of the form models:/NAME@ALIAS or models:/NAME/VERSION")
    if _ADDRESS.fullmatch(spec) and not Path(spec).is_dir():
        return store.find(spec)
    return ModelInput.find(spec)


def _from_registry(
    spec: str, wanted: re.Match[str], store: ArtifactStore, tracking: TrackingConfig
) -> tuple[ArtifactRef, str]:
    """Where a registered version lies, and its number."""
    from mlflow.exceptions import MlflowException

    client, _ = open_client(tracking)
    try:
        if wanted["alias"] is not None:
            version = client.get_model_version_by_alias(wanted["name"], wanted["alias"])
        else:
            version = client.get_model_version(wanted["name"], wanted["version"])
    except MlflowException as error:
        raise InputError(f"model: {spec} is not in the MLflow registry at {client.tracking_uri} ({error})") from error
    tags = version.tags
    if not {"stage", "fingerprint", "store"} <= set(tags):
        raise InputError(f"model: {spec} was not registered by a run of this project; give its directory instead")
    if tags["store"] != store.root:
        raise InputError(f"model: {spec} lies in the store {tags['store']}, not in {store.root}; set store to it")
    return ArtifactRef(tags["stage"], tags["fingerprint"]), str(version.version)
