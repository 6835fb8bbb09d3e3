"""Models by where they are kept: outside, in the store, or under a name in MLflow's model registry.

A registered version points at an artifact of the store; nothing is copied into MLflow.
"""

from __future__ import annotations

import re
from pathlib import Path

from latent_core.config.chat import DEFAULT_CHAT, ChatConfig
from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InputError
from latent_core.models.chat import check_settings, open_chat_model
from latent_core.models.source import model_in
from latent_core.store import ArtifactRef, ArtifactStore
from tasks.stage import ModelInput, Parent
from tasks.tracking import open_client

_REGISTERED = re.compile(r"models:/(?P<name>[^@/]+)(?:@(?P<alias>[^@/]+)|/(?P<version>\d+))")
_ADDRESS = re.compile(r"(train|build_dual|grpo)/[^/]+")


def find_model(spec: str, store: ArtifactStore, tracking: TrackingConfig, chat: ChatConfig = DEFAULT_CHAT) -> Parent:
    """The model that `spec` names, as a stage's input.

    `models:/NAME@ALIAS` and `models:/NAME/VERSION` are looked up in MLflow's registry, `train/FINGERPRINT` or
    `grpo/FINGERPRINT` (which may be shortened while it stays unique) in the store; anything else as `open_model` does.
    `chat` says how the conversations of a model from outside are read; one of the store keeps what it was trained with.
    Raises InputError naming the field.
    """
    registered = _REGISTERED.fullmatch(spec)
    if registered is not None:
        return _kept(_from_registry(spec, registered, store, tracking), store, chat)
    if spec.startswith("models:/"):
        raise InputError(f"model: {spec!r} is not of the form models:/NAME@ALIAS or models:/NAME/VERSION")
    if _ADDRESS.fullmatch(spec) and not Path(spec).is_dir():
        return _kept(store.find(spec), store, chat)
    return ModelInput.find(spec, chat=chat)


def model_directory(
    spec: str, store: ArtifactStore, tracking: TrackingConfig | None = None, chat: ChatConfig = DEFAULT_CHAT
) -> Path:
    """The local directory of the model that `spec` names, as `find_model` finds it. Raises InputError likewise."""
    found = find_model(spec, store, tracking or TrackingConfig(), chat)
    if isinstance(found, ArtifactRef):
        return model_in(store.require(found))
    return open_chat_model(spec, chat).directory


def _kept(ref: ArtifactRef, store: ArtifactStore, chat: ChatConfig) -> ArtifactRef:
    if chat != DEFAULT_CHAT:
        check_settings(store.require(ref), chat)
    return ref


def _from_registry(spec: str, wanted: re.Match[str], store: ArtifactStore, tracking: TrackingConfig) -> ArtifactRef:
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
    return ArtifactRef(tags["stage"], tags["fingerprint"])
